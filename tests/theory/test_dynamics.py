"""Oracles: Monte Carlo of one step, finite differences of the exact loss, and fixed points of the literature."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor

from tsl.errors import InputError
from tsl.theory.activation import Activation
from tsl.theory.dynamics import Rates, derivatives, learning_curve, rates_of_sgd
from tsl.theory.order_parameters import OrderParameters, order_parameters
from tsl.theory.population_loss import gaussian_averages, population_loss

K, M, DIM, OUTPUTS = 3, 2, 6, 2
ACTIVATIONS = {
    "erf": Activation("erf"),
    "relu": Activation("relu"),
    "leaky": Activation("relu", 0.3),
    "quadratic": Activation("quadratic"),
    "linear": Activation("linear"),
}


def networks(seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = (K, DIM), (M, DIM), (OUTPUTS, K), (OUTPUTS, M)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) / 2 for shape in shapes]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_at_small_rates_the_equations_are_gradient_descent_on_the_exact_loss(name: str) -> None:
    W, W_teacher, V, V_teacher = networks(0)
    averages = gaussian_averages(ACTIVATIONS[name], ACTIVATIONS[name], (K, M))

    def loss(W: Tensor, V: Tensor) -> float:
        return float(population_loss(order_parameters(W, W_teacher), V, V_teacher, averages))

    def gradient(of: Tensor, evaluate: object, step: float = 1e-5) -> Tensor:
        result = torch.zeros_like(of)
        for index in np.ndindex(*of.shape):
            moved = torch.zeros_like(of)
            moved[index] = step
            result[index] = (evaluate(of + moved) - evaluate(of - moved)) / (2 * step)  # type: ignore[operator]
        return result

    move = -0.3 * gradient(W, lambda changed: loss(changed, V))
    rates = Rates(lowest=0.3, readout=0.7, noise=2.0, small_rate=True)
    dQ, dR, dV = derivatives(order_parameters(W, W_teacher), V, V_teacher, averages, rates)
    assert torch.allclose(dQ, move @ W.mT + W @ move.mT, atol=1e-8)
    assert torch.allclose(dR, move @ W_teacher.mT, atol=1e-8)
    assert torch.allclose(dV, -0.7 * gradient(V, lambda changed: loss(W, changed)), atol=1e-8)


@pytest.mark.parametrize("name", ["erf", "quadratic", "linear"])
def test_at_any_rate_the_equations_are_the_mean_of_one_noisy_step(name: str) -> None:
    """Update of Q in fields: w ← w − (η/√d) v·e g'(λ) x gives −η (v_i·e) g'_i λ_k − … + η² (v_i·e)(v_k·e) g'_i g'_k.

    R moves by −η (v_i·e) g'_i λ°_n, and V by −η_v e_o g_i.
    """
    eta, eta_readout, sigma, samples = 0.8, 0.4, 0.6, 400_000
    W, W_teacher, V, V_teacher = (part.numpy() for part in networks(1))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(samples, DIM))
    student, teacher = x @ W.T, x @ W_teacher.T
    g, slope = {
        "erf": (lambda f: special.erf(f / math.sqrt(2)), lambda f: math.sqrt(2 / math.pi) * np.exp(-(f**2) / 2)),
        "quadratic": (np.square, lambda f: 2 * f),
        "linear": (lambda f: f, np.ones_like),
    }[name]
    error = g(student) @ V.T - g(teacher) @ V_teacher.T - sigma * rng.normal(size=(samples, OUTPUTS))
    push = -eta * (error @ V) * slope(student)  # [samples, K]
    change = push[:, :, None] * student[:, None, :]
    change = change + change.transpose(0, 2, 1) + push[:, :, None] * push[:, None, :]
    averages = gaussian_averages(ACTIVATIONS[name], ACTIVATIONS[name], (K, M))
    overlaps = order_parameters(*map(torch.from_numpy, (W, W_teacher)))
    rates = Rates(eta, eta_readout, sigma)
    dQ, dR, dV = derivatives(overlaps, *map(torch.from_numpy, (V, V_teacher)), averages, rates)
    of_R = push[:, :, None] * teacher[:, None, :]
    of_V = -eta_readout * error[:, :, None] * g(student)[:, None, :]
    for by_theory, sampled in ((dQ, change), (dR, of_R), (dV, of_V)):
        error_of_mean = sampled.std(axis=0) / math.sqrt(samples)
        assert (np.abs(by_theory.numpy() - sampled.mean(axis=0)) < 4.5 * error_of_mean).all()


def committee(Q: Tensor, R: Tensor, rates: Rates, alpha: Tensor) -> tuple[Tensor, OrderParameters]:
    """Loss and overlaps of erf committees from initial ones, T = 1."""
    K, M = R.shape
    averages = gaussian_averages(Activation("erf"), Activation("erf"), (K, M))
    initial = OrderParameters(Q, R, torch.eye(M, dtype=torch.float64))
    curve = learning_curve(initial, torch.ones(1, K), torch.ones(1, M), averages, rates, alpha)
    return curve.loss, curve.overlaps


@pytest.mark.parametrize("nodes", [2, 3])
def test_symmetric_erf_committees_stay_at_the_plateau_of_saad_and_solla(nodes: int) -> None:
    same = torch.ones(nodes, nodes, dtype=torch.float64)
    _, (Q, R, _) = committee(0.1 * same, 0.01 * same, Rates(0.1, small_rate=True), torch.linspace(0, 1000, 3))
    assert torch.allclose(Q[-1], same / (2 * nodes - 1), atol=1e-5)
    assert torch.allclose(R[-1], same / math.sqrt(nodes * (2 * nodes - 1)), atol=1e-5)


def test_a_small_asymmetry_leaves_the_plateau_and_specializes() -> None:
    one = torch.eye(2, dtype=torch.float64)
    loss, (Q, R, T) = committee(0.1 * one, 1e-3 + 1e-4 * one, Rates(1.0), torch.linspace(0, 400, 41))
    assert torch.allclose(R[-1], T[-1], atol=1e-3)
    assert torch.allclose(Q[-1], T[-1], atol=1e-3)
    assert loss[-1] < 1e-6 < 1e-2 < loss[10]


@pytest.mark.parametrize("nodes", [2, 3])
def test_label_noise_leaves_the_loss_of_goldt_et_al(nodes: int) -> None:
    """Goldt et al. 2019: ε → (σ²η/2π)(L + M/√3) for small η, of soft committees with L = K − M nodes too many.

    At η = 0.05 the terms beyond make 5 % more.
    """
    eta, sigma = 0.05, 0.1
    Q = torch.tensor([0.85, 0.85, 1e-3], dtype=torch.float64).diag()
    R = 0.9 * torch.eye(3, 2, dtype=torch.float64)
    rates = Rates(eta, 0.0, sigma)
    loss, _ = committee(Q[:nodes, :nodes], R[:nodes], rates, torch.linspace(0, 2500, 3))
    expected = sigma**2 * eta / (2 * math.pi) * (nodes - 2 + 2 / math.sqrt(3))
    assert expected < loss[-1] < 1.07 * expected


def test_replicates_are_integrated_side_by_side() -> None:
    W, W_teacher, V, V_teacher = (torch.stack(pair) for pair in zip(networks(3), networks(4), strict=True))
    averages = gaussian_averages(Activation("erf"), Activation("erf"), (K, M))
    alpha = torch.linspace(0, 5, 3)
    rates = Rates(torch.tensor([0.5, 0.3]), torch.tensor([0.2, 0.0]), torch.tensor([0.1, 0.4]))
    both = learning_curve(order_parameters(W, W_teacher), V, V_teacher, averages, rates, alpha, rtol=1e-9)
    for r in range(2):
        start, own = order_parameters(W[r], W_teacher[r]), Rates(*(float(rate[r]) for rate in rates[:3]))  # type: ignore[index]
        alone = learning_curve(start, V[r], V_teacher[r], averages, own, alpha, rtol=1e-9)
        assert torch.allclose(both.loss[:, r], alone.loss, atol=1e-7)
        assert torch.allclose(both.overlaps.R[:, r], alone.overlaps.R, atol=1e-7)
        assert torch.allclose(both.readout[:, r], alone.readout, atol=1e-7)


def test_rates_of_sgd_are_scaled_by_dimension_and_batch() -> None:
    assert rates_of_sgd(0.01, dim=50, batch_size=5, std=2.0) == pytest.approx((0.4, 0.1))


def test_what_grows_without_bound_is_refused() -> None:
    averages = gaussian_averages(Activation("linear"), Activation("linear"), (1, 1))
    one = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(InputError, match="no solution up to α = 1000"):
        learning_curve(OrderParameters(one, 0 * one, one), one, one, averages, Rates(5.0), torch.tensor([0.0, 1000.0]))
