"""Oracles: Monte Carlo with its error on networks with random weights, and the formula of the literature."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special

from tsl.errors import InputError
from tsl.theory.activation import Activation
from tsl.theory.order_parameters import order_parameters, time_alpha
from tsl.theory.population_loss import gaussian_averages, population_loss

K, M, DIM, OUTPUTS, STD = 3, 2, 5, 2, 1.3
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "erf": lambda x: special.erf(x / math.sqrt(2)),
    "relu": lambda x: np.maximum(x, 0),
    "leaky": lambda x: np.where(x > 0, x, 0.2 * x),
    "quadratic": lambda x: x**2,
    "linear": lambda x: x,
}


def activation(name: str) -> Activation:
    return Activation("relu", 0.2) if name == "leaky" else Activation(name)


def networks(seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed).normal
    return [draw(size=(K, DIM)), draw(size=(M, DIM)), draw(size=(OUTPUTS, K)), draw(size=(OUTPUTS, M))]


def exact(parts: list[np.ndarray], student: str, teacher: str) -> float:
    W, W_teacher, V, V_teacher = map(torch.from_numpy, parts)
    averages = gaussian_averages(activation(student), activation(teacher), (len(W), len(W_teacher)))
    return float(population_loss(order_parameters(W, W_teacher, STD), V, V_teacher, averages))


@pytest.mark.parametrize("samples", [100_000, pytest.param(4_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("student", "teacher"),
    [*((name, name) for name in FUNCTIONS), ("relu", "leaky"), ("leaky", "linear")],
)
def test_the_loss_lies_within_the_error_of_monte_carlo(student: str, teacher: str, samples: int) -> None:
    parts = networks(0)
    W, W_teacher, V, V_teacher = parts
    draw, losses = np.random.default_rng(1), []
    for _ in range(samples // 100_000):
        x = draw.normal(scale=STD, size=(100_000, DIM))
        error = FUNCTIONS[student](x @ W.T) @ V.T - FUNCTIONS[teacher](x @ W_teacher.T) @ V_teacher.T
        losses.append((error**2).sum(axis=1) / 2)
    sampled = np.concatenate(losses)
    assert abs(exact(parts, student, teacher) - sampled.mean()) < 4 * sampled.std() / math.sqrt(samples)


def test_the_loss_of_erf_committees_is_that_of_saad_and_solla() -> None:
    W, W_teacher, *_ = parts = [*networks(2)[:2], np.ones((1, K)), np.ones((1, M))]
    Q, R, T = (STD**2 * left @ right.T for left, right in ((W, W), (W, W_teacher), (W_teacher, W_teacher)))
    total = 0.0
    for i in range(K):
        for k in range(K):
            total += math.asin(Q[i, k] / math.sqrt((1 + Q[i, i]) * (1 + Q[k, k])))
        for n in range(M):
            total -= 2 * math.asin(R[i, n] / math.sqrt((1 + Q[i, i]) * (1 + T[n, n])))
    for n in range(M):
        for m in range(M):
            total += math.asin(T[n, m] / math.sqrt((1 + T[n, n]) * (1 + T[m, m])))
    assert exact(parts, "erf", "erf") == pytest.approx(total / math.pi, rel=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_teacher_itself_in_another_order_has_no_loss(name: str) -> None:
    _, W_teacher, _, V_teacher = networks(3)
    assert exact([W_teacher[::-1].copy(), W_teacher, V_teacher[:, ::-1].copy(), V_teacher], name, name) < 1e-14


def test_splitting_a_relu_node_keeps_the_loss() -> None:
    W, W_teacher, V, V_teacher = networks(4)
    split = [np.vstack([0.4 * W[:1], 3 * W[:1], W[1:]]), W_teacher, np.hstack([V[:, :1], 0.2 * V[:, :1], V[:, 1:]])]
    assert exact([*split, V_teacher], "relu", "relu") == pytest.approx(
        exact([W, W_teacher, V, V_teacher], "relu", "relu"), rel=1e-12
    )


def test_splitting_a_relu_node_adds_the_known_zero_modes() -> None:
    """By the eigenvalues of the Hessian at the teacher itself and at its copy with one node in two.

    The Hessian is that of finite differences of the exact loss. Of a node u with fan-out v the derivatives of the
    output span v_o x_i 1(ux > 0) and e_o ReLU(ux), which are d + O − 1 functions, since ReLU(ux) = u·x 1(ux > 0): of
    its d + O parameters one changes nothing. A second node of the same u spans nothing new: d + O zero modes more.
    """
    _, W_teacher, _, V_teacher = networks(6)
    split = [np.vstack([0.5 * W_teacher[:1], W_teacher]), np.hstack([0.6 * V_teacher[:, :1], V_teacher])]
    split[1][:, 1] *= 0.7  # 0.5 · 0.6 + 0.7 = 1
    counts = []
    for W, V in ((W_teacher, V_teacher), split):
        sizes = W.shape, V.shape
        at, step = np.concatenate([W.ravel(), V.ravel()]), 1e-4

        def loss(parameters: np.ndarray, sizes: tuple[tuple[int, int], ...] = sizes) -> float:
            changed, readout = np.split(parameters, [math.prod(sizes[0])])
            return exact([changed.reshape(sizes[0]), W_teacher, readout.reshape(sizes[1]), V_teacher], "relu", "relu")

        moves = step * np.eye(len(at))
        hessian = np.array([[loss(at + a + b) - loss(at + a - b) for b in moves] for a in moves])
        hessian -= np.array([[loss(at - a + b) - loss(at - a - b) for b in moves] for a in moves])
        eigenvalues = np.linalg.eigvalsh(hessian + hessian.T) / (8 * step**2)
        assert eigenvalues[0] > -1e-3
        counts.append((int((eigenvalues < 1e-3).sum()), int((eigenvalues < 1e-2).sum())))
    assert counts == [(M, M), (M + DIM + OUTPUTS, M + DIM + OUTPUTS)]


def test_normalizations_scale_the_same_overlaps() -> None:
    W, W_teacher = (torch.from_numpy(part) for part in networks(5)[:2])
    plain = order_parameters(W, W_teacher, normalization="none")
    assert torch.allclose(order_parameters(W, W_teacher, normalization="dimension").R, plain.R / DIM)
    assert torch.allclose(order_parameters(W, W_teacher, STD).covariance[K:, :K], STD**2 * plain.R.mT)
    assert plain.Q[1, 2] == pytest.approx(float(W[1] @ W[2]))
    assert time_alpha(steps=30, batch_size=4, dim=60) == 2


@pytest.mark.parametrize(("student", "teacher"), [("tanh", "tanh"), ("erf", "relu")])
def test_what_has_no_closed_form_is_refused(student: str, teacher: str) -> None:
    with pytest.raises(InputError, match=f"got a student with {student} and a teacher with {teacher}: no closed form"):
        gaussian_averages(Activation(student), Activation(teacher), (1, 1))
