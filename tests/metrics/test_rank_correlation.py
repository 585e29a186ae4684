import numpy as np
import pytest
import references
import scipy.stats
import torch
from torch import Tensor

from tsl.metrics import RankCorrelation
from tsl.metrics.functional import node_correlation, rank_correlation
from tsl.metrics.functional.rank_correlation import ranks


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("samples", [1, 2, 3, 50])
def test_ranks_with_ties_against_scipy(samples: int) -> None:
    layer = torch.randint(0, 6, (2, samples, 3), generator=torch.Generator().manual_seed(samples)).double()
    for replicate in range(2):
        expected = scipy.stats.rankdata(layer[replicate].numpy(), axis=0) - 1
        np.testing.assert_array_equal(ranks(layer)[replicate], expected)


def test_any_increasing_function_does_not_matter() -> None:
    teacher, student = normal(200, 3).relu(), normal(200, 4, seed=1)
    result = rank_correlation(teacher, student)
    torch.testing.assert_close(rank_correlation(teacher**3, student.exp()), result)
    assert (rank_correlation(student, student.exp()).diagonal() == 1).all()
    assert (node_correlation(student, student.exp()).diagonal() < 1).all()
    torch.testing.assert_close(rank_correlation(teacher, -student), -result)


def test_constant_nodes_are_zero_rounding_included() -> None:
    signal = normal(100, 1).float()
    noise = 1 + torch.finfo(torch.float32).eps * (signal > 0)
    assert rank_correlation(signal, noise).item() == 0
    metric = RankCorrelation(1, 1)
    metric.update(signal, noise)
    assert metric.compute().item() == 0
    assert rank_correlation(signal, torch.zeros(100, 1)).item() == 0


def test_against_scipy_with_dead_samples() -> None:
    teacher, student = normal(80, 2).relu(), (normal(80, 2) + normal(80, 2, seed=1)).relu()
    expected = references.rank_correlation(teacher.numpy(), student.numpy())
    np.testing.assert_allclose(rank_correlation(teacher, student), expected, atol=1e-12)
