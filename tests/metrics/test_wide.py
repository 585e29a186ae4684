"""Layers of more nodes than samples: the same numbers, without any matrix of nodes × nodes."""

from collections.abc import Callable

import pytest
import references
import torch
from torch import Tensor

from tsl.metrics import functional
from tsl.metrics.functional.cross_moments import cross_moments
from tsl.metrics.functional.wide import narrowed

MEASURES = {
    functional.linear_cka: references.linear_cka,
    functional.debiased_linear_cka: references.debiased_linear_cka,
    functional.rv_coefficient: references.rv_coefficient,
    functional.procrustes_similarity: references.procrustes_similarity,
    functional.procrustes_distance: references.procrustes_distance,
    functional.svcca: references.svcca,
}


def layers(m: int, n: int, samples: int = 9) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(0)
    t = torch.randn(2, samples, m, generator=drawn, dtype=torch.float64)
    mixing = torch.randn(2, m, n, generator=drawn, dtype=torch.float64)
    return t, 5 + t @ mixing / m**0.5 + torch.randn(2, samples, n, generator=drawn, dtype=torch.float64)


@pytest.mark.parametrize(("m", "n"), [(20, 30), (20, 4), (4, 20), (9, 10)])
@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_each_measure_is_its_definition(measure: Callable[[Tensor, Tensor], Tensor], m: int, n: int) -> None:
    t, s = layers(m, n)
    values = measure(t, s)
    for replicate in range(2):
        expected = MEASURES[measure](t[replicate].numpy(), s[replicate].numpy())
        assert values[replicate].item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("measure", [*MEASURES][:4], ids=lambda measure: measure.__name__)
def test_a_layer_and_itself_and_its_rotation(measure: Callable[[Tensor, Tensor], Tensor]) -> None:
    t, _ = layers(20, 5)
    rotation = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64)).Q
    assert (measure(t, t) == 1).all()
    torch.testing.assert_close(measure(t, 3 * t @ rotation), torch.ones(2, dtype=torch.float64))


def test_products_of_samples_stay_and_constant_nodes_go() -> None:
    t, _ = layers(20, 5)
    centred = t - t.mean(dim=1, keepdim=True)
    rotated = narrowed(t)
    assert rotated.shape == (2, 9, 9)
    torch.testing.assert_close(rotated @ rotated.mT, centred @ centred.mT)
    constant = torch.full((2, 9, 1), 1e8) + torch.tensor([0.0, 8.0, 0, 0, 0, 0, 0, 0, 0]).reshape(1, 9, 1)
    with_constant = torch.cat([t.float(), constant], dim=-1)
    torch.testing.assert_close(functional.linear_cka(with_constant, t.float()), torch.ones(2, dtype=torch.float64))
    assert functional.linear_cka(torch.ones(9, 20), t[0].float()) == 0


def test_as_many_samples_as_nodes_or_more_are_left_alone() -> None:
    t, _ = layers(9, 5)
    assert narrowed(t) is t
    torch.testing.assert_close(
        functional.linear_cka(t, t[..., :4]),
        functional.linear_cka.__globals__["linear_cka_from_moments"](cross_moments(t, t[..., :4], full=True)),
    )


def test_flattened_maps_of_a_stem_fit_into_memory() -> None:
    """65,536 nodes: a matrix of nodes × nodes would take 34 GB."""
    t = torch.randn(8, 64, 32, 32, generator=torch.Generator().manual_seed(0)).flatten(1)
    assert functional.linear_cka(t, t) == 1
    assert functional.debiased_linear_cka(t, t.roll(1, dims=0)).abs() < 0.9
