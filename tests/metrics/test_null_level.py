import math

import torch
from torch import Tensor

from tsl.metrics import NodeCorrelation
from tsl.metrics.functional import (
    boundary_observation,
    linear_cka,
    node_correlation,
    null_level,
    rho_mean,
    shuffled_samples,
)


def layer(samples: int) -> Tensor:
    return torch.randn(2, samples, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).relu()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_shuffling_moves_whole_samples_and_all_replicates_alike() -> None:
    activations = layer(50)
    shuffled = shuffled_samples(activations, seeded())
    order = torch.randperm(50, generator=seeded())
    assert torch.equal(shuffled, activations[:, order])
    assert torch.equal(shuffled_samples(activations[0], seeded()), shuffled[0])
    assert torch.equal(shuffled.sort(dim=1).values, activations.sort(dim=1).values)
    assert not torch.equal(shuffled, activations)


def test_nothing_but_chance_is_left() -> None:
    samples = 4000
    activations = layer(samples)
    level = null_level(node_correlation, activations, activations, seeded())
    assert level.abs().max() < 5 / math.sqrt(samples)
    assert null_level(linear_cka, activations, activations, seeded()).max() < 0.01
    assert linear_cka(activations, activations).min() == 1


def test_it_is_the_teacher_that_is_shuffled() -> None:
    teacher, student = layer(40), layer(40).flip(-1) + 1
    level = null_level(node_correlation, teacher, student, seeded())
    assert torch.equal(level, node_correlation(shuffled_samples(teacher, seeded()), student))


def test_what_a_layer_is_to_itself_stays() -> None:
    activations = layer(100)
    shuffled = shuffled_samples(activations, seeded())
    torch.testing.assert_close(node_correlation(shuffled, shuffled), node_correlation(activations, activations))


def test_any_measure_may_be_asked() -> None:
    activations = layer(30)
    level = null_level(lambda t, s: rho_mean(node_correlation(t, s)), activations, activations, seeded())
    assert level.shape == (2,)
    assert null_level(boundary_observation, activations, activations, seeded()).dtype == torch.int64


def test_a_metric_streams_its_null_level() -> None:
    activations = layer(90)
    metric, generator = NodeCorrelation(6, 6, 2), seeded()
    for batch in activations.split(30, dim=1):
        metric.update(shuffled_samples(batch, generator), batch)
    assert metric.compute().diagonal(dim1=-2, dim2=-1).abs().max() < 0.5
