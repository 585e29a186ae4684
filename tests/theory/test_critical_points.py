"""Oracles: quadratic forms of chosen eigenvalues, finite differences, and textbook critical points."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.theory.critical_points import AT_ENDS, Loss, Spectrum, critical_kind, hessian, spectrum


def form(eigenvalues: np.ndarray, flat: int = 0) -> tuple[Loss, Tensor]:
    """½ xᵀ A x of chosen eigenvalues beside `flat` directions without any, and those directions."""
    values = np.concatenate([np.zeros(flat), eigenvalues])
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(values), len(values))))
    A = torch.from_numpy(axes @ np.diag(values) @ axes.T)
    return lambda x: x @ A @ x / 2, torch.from_numpy(axes.T[:flat].copy())


def test_the_hessian_is_that_of_finite_differences() -> None:
    def loss(x: Tensor) -> Tensor:
        return (x.sin() * x.roll(1)).sum() ** 2 + x.pow(4).sum()

    at, step = torch.linspace(-1, 1, 5, dtype=torch.float64), 1e-4
    moves = step * torch.eye(5, dtype=torch.float64)
    by_differences = [
        [loss(at + a + b) - loss(at + a - b) - loss(at - a + b) + loss(at - a - b) for b in moves] for a in moves
    ]
    expected = torch.tensor(by_differences, dtype=torch.float64) / (4 * step**2)
    torch.testing.assert_close(hessian(loss, at), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("flat", [0, 3])
def test_eigenvalues_are_those_beside_the_known_flat_directions(flat: int) -> None:
    values = np.array([-0.5, 0.0, 1.0, 2.0, 7.0])
    loss, symmetries = form(values, flat)
    found = spectrum(loss, torch.zeros(5 + flat, dtype=torch.float64), symmetries)
    np.testing.assert_allclose(found.values, values, atol=1e-12)
    assert found.complete
    assert (found.negative, found.zero) == (1, 1)


@pytest.mark.parametrize(
    "least", [np.linspace(-0.01, 0.012, 12), np.geomspace(1e-3, 0.1, 12), np.array([-9.0, 1e-9, 1e-4])]
)
def test_lanczos_finds_the_ends(least: np.ndarray) -> None:
    values = np.sort(np.concatenate([least, np.linspace(1, 5, 60)]))
    loss, symmetries = form(values, flat=4)
    found = spectrum(loss, torch.zeros(len(values) + 4, dtype=torch.float64), symmetries, full=10)
    ends = values[:AT_ENDS] if least.min() < -5 else np.append(values[:AT_ENDS], 5)
    np.testing.assert_allclose(found.values, ends, atol=1e-3 * np.abs(ends).max())
    np.testing.assert_allclose(found.values[0], ends[0], atol=1e-6)
    assert not found.complete
    assert (found.negative > 0) == (least.min() < 0)


@pytest.mark.parametrize(
    ("values", "gradient", "at_kink", "kind"),
    [
        ([1.0, 2.0], 1e-11, False, "minimum"),
        ([-0.1, 0.0, 2.0], 1e-11, True, "saddle"),
        ([-1e-9, 1e-9, 2.0], 1e-11, False, "flat"),
        ([0.0, 0.0], 0.0, False, "flat"),
        ([1.0], 1e-9, False, "not critical"),
        ([1.0], 1e-9, True, "kink"),
    ],
)
def test_kinds_of_points(values: list[float], gradient: float, at_kink: bool, kind: str) -> None:
    assert critical_kind(Spectrum(np.array(values), complete=True), gradient, 1e-10, at_kink) == kind
