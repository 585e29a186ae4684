"""Oracles: Gauss-Hermite quadrature, one-dimensional quadrature by scipy, and Monte Carlo with its error."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from tsl.errors import InputError
from tsl.theory.gaussian_averages import Erf, GaussianAverages, PiecewiseLinear, Quadratic

Function = Callable[[np.ndarray], np.ndarray]
SMOOTH: dict[str, tuple[GaussianAverages, Function, Function]] = {
    "erf": (Erf(), lambda x: special.erf(x / math.sqrt(2)), lambda x: math.sqrt(2 / math.pi) * np.exp(-(x**2) / 2)),
    "quadratic": (Quadratic(), lambda x: x**2, lambda x: 2 * x),
    "linear": (PiecewiseLinear(torch.ones(4)), lambda x: x, np.ones_like),
}
SLOPES = np.array([0.0, 0.0, 0.2, 0.5])


def covariance(seed: int, n: int = 4, size: float = 0.5) -> np.ndarray:
    weights = np.random.default_rng(seed).normal(size=(n, n + 1))
    return size * weights @ weights.T / n


def expectation(C: np.ndarray, function: Callable[[np.ndarray], np.ndarray], points: int) -> float:
    """E function(x), x ~ N(0, C) of any dimension, by Gauss-Hermite quadrature."""
    nodes, weights = special.roots_hermitenorm(points)
    grid = np.array(list(itertools.product(nodes, repeat=len(C))))
    weight = np.prod(list(itertools.product(weights / weights.sum(), repeat=len(C))), axis=1)
    return float(weight @ function(grid @ np.linalg.cholesky(C).T))


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_averages_are_those_of_quadrature(name: str) -> None:
    averages, g, slope = SMOOTH[name]
    C = covariance(0)
    given = torch.from_numpy(C)
    products, gains = averages.products(given), averages.gains(given)
    for a, b in ((0, 1), (2, 3)):
        pair = C[np.ix_([a, b], [a, b])]
        assert products[a, b] == pytest.approx(expectation(pair, lambda x: g(x[:, 0]) * g(x[:, 1]), 80), abs=1e-9)
        assert gains[a, b] == pytest.approx(expectation(pair, lambda x: slope(x[:, 0]) * slope(x[:, 1]), 80), abs=1e-9)
    assert products[1, 1] == pytest.approx(expectation(C[1:2, 1:2], lambda x: g(x[:, 0]) ** 2, 80), abs=1e-9)
    triple = expectation(C[:3, :3], lambda x: slope(x[:, 0]) * x[:, 1] * g(x[:, 2]), 40)
    assert averages.drifts(given)[0, 1, 2] == pytest.approx(triple, abs=1e-7)
    both = expectation(C[[0, 2]][:, [0, 2]], lambda x: slope(x[:, 0]) * x[:, 0] * g(x[:, 1]), 80)
    assert averages.drifts(given)[0, 0, 2] == pytest.approx(both, abs=1e-9)
    fourth = expectation(C, lambda x: slope(x[:, 0]) * slope(x[:, 1]) * g(x[:, 2]) * g(x[:, 3]), 20)
    assert averages.diffusions(given)[0, 1, 2, 3] == pytest.approx(fourth, abs=1e-6)
    same = expectation(C[:2, :2], lambda x: slope(x[:, 0]) ** 2 * g(x[:, 1]) * g(x[:, 0]), 80)
    assert averages.diffusions(given)[0, 0, 1, 0] == pytest.approx(same, abs=1e-8)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 2), (3, 2)])
def test_piecewise_linear_products_are_those_of_one_dimensional_quadrature(a: int, b: int) -> None:
    """⟨g(x) g(y)⟩ = ∫ g(x) E[g(y) | x], the inner mean of a Gaussian cut at 0."""
    C = covariance(1)
    s, t = SLOPES[a], SLOPES[b]
    spread = math.sqrt(C[b, b] - C[a, b] ** 2 / C[a, a])

    def inner(x: float) -> float:
        mean = C[a, b] / C[a, a] * x
        relu = mean * stats.norm.cdf(mean / spread) + spread * stats.norm.pdf(mean / spread)
        return t * mean + (1 - t) * relu

    def integrand(x: float) -> float:
        return (x if x > 0 else s * x) * inner(x) * stats.norm.pdf(x, scale=math.sqrt(C[a, a]))

    expected = sum(integrate.quad(integrand, *half)[0] for half in ((-np.inf, 0), (0, np.inf)))
    products = PiecewiseLinear(torch.from_numpy(SLOPES)).products(torch.from_numpy(C))
    assert products[a, b] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("samples", [200_000, pytest.param(4_000_000, marks=pytest.mark.slow)])
def test_all_averages_lie_within_the_error_of_monte_carlo(samples: int) -> None:
    C = covariance(2)
    x = np.random.default_rng(3).multivariate_normal(np.zeros(4), C, size=samples)
    g, slope = np.where(x > 0, x, SLOPES * x), np.where(x > 0, 1, SLOPES)
    piecewise = PiecewiseLinear(torch.from_numpy(SLOPES))
    given = torch.from_numpy(C)
    for i, k, a in itertools.product(range(4), repeat=3):
        checked = {
            piecewise.products(given)[i, a]: g[:, i] * g[:, a],
            piecewise.gains(given)[i, a]: slope[:, i] * slope[:, a],
            piecewise.drifts(given)[i, k, a]: slope[:, i] * x[:, k] * g[:, a],
        }
        for exact, sampled in checked.items():
            error = sampled.std() / math.sqrt(samples)
            assert abs(float(exact) - sampled.mean()) < 4.5 * error + 1e-12, (i, k, a)


def test_a_node_of_no_weights_has_no_influence() -> None:
    C = torch.zeros(3, 3, dtype=torch.float64)
    C[0, 0] = 2.0
    averages = PiecewiseLinear(torch.zeros(3))
    assert averages.products(C)[0].tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert averages.drifts(C).isfinite().all()


def test_second_order_of_relu_is_refused() -> None:
    with pytest.raises(InputError, match="no closed form: set small_rate to true"):
        PiecewiseLinear(torch.zeros(2)).diffusions(torch.eye(2))
