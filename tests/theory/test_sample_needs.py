import math
from typing import Any

import numpy as np
import pytest

from tsl.theory.sample_needs import Need, along, exponents
from tsl.theory.tipping_point import TippingPoint

DRAWS = 2000
EPSILONS = (0.3, 0.2, 0.1)


def need(kind: str, d: int, m: int, n: int, epsilon: float, spread: float = 0.1) -> Need:
    """Of a known power law: 2 · d^0.8 K^0.6 ε^−0.4 inputs, with bootstrap draws that scatter by themselves."""
    size = 2 * d**0.8 * (m + n) ** 0.6 * epsilon**-0.4
    random = np.random.default_rng([d, m, n, round(100 * epsilon)])
    point = TippingPoint(size, 0.9 * size, 1.1 * size, size * np.exp(spread * random.standard_normal(DRAWS)))
    return Need(kind, d, m, n, epsilon, {"plain": 1, "agnostic": 2 * d + 1, "aware": 3}[kind], point)


CELLS = [
    *((d, 5, 10) for d in (8, 16, 32, 64, 128)),
    *((32, m, 2 * m) for m in (2, 10, 20)),
    *((32, 5, 5 * multiplier) for multiplier in (1, 5, 10)),
]


@pytest.fixture
def needs() -> list[Need]:
    kinds = ("plain", "agnostic", "aware")
    return [need(kind, *cell, epsilon) for kind in kinds for cell in CELLS for epsilon in EPSILONS]


def test_an_axis_is_what_varies_alone(needs: list[Need]) -> None:
    found = {
        axis: {(each.d, each.m, each.n) for each in along(needs, axis)} for axis in ("d", "K by m", "K by n", "1/ε")
    }
    assert found["d"] == {(d, 5, 10) for d in (8, 16, 32, 64, 128)}
    assert found["K by m"] == {(32, m, 2 * m) for m in (2, 5, 10, 20)}
    assert found["K by n"] == {(32, 5, n) for n in (5, 10, 25, 50)}
    assert found["1/ε"] == {(32, 5, 10)}


def test_the_exponents_of_a_known_law_with_the_intervals_of_least_squares(needs: list[Need]) -> None:
    found = {(each.kind, each.axis, each.epsilon, each.counted): each for each in exponents(needs)}
    for kind in ("plain", "agnostic", "aware"):
        for axis, epsilon, exponent, x in (
            ("d", 0.2, 0.8, [8, 16, 32, 64, 128]),
            ("K by m", 0.1, 0.6, [6, 15, 30, 60]),
            ("K by n", 0.3, 0.6, [10, 15, 30, 55]),
            ("1/ε", None, 0.4, [1 / 0.3, 5, 10]),
        ):
            counted = "inputs" if (axis, kind) == ("d", "agnostic") else "samples"
            each = found[kind, axis, epsilon, counted]
            assert each.fit.exponent == pytest.approx(exponent)
            assert each.values == len(x)
            log_x = np.log(x)
            half = 1.96 * 0.1 / math.sqrt(((log_x - log_x.mean()) ** 2).sum())
            assert each.interval == pytest.approx((exponent - half, exponent + half), abs=0.1 * half)
    log_d = np.log([8, 16, 32, 64, 128])
    of_samples = 0.8 + np.polyfit(log_d, np.log(2 * np.exp(log_d) + 1), 1)[0]
    assert found["agnostic", "d", 0.1, "samples"].fit.exponent == pytest.approx(of_samples)
    orders = {(each.kind, each.axis, each.counted): each.order for each in found.values()}
    assert orders["agnostic", "d", "inputs"] == 2
    assert orders["agnostic", "d", "samples"] == 3
    assert orders["aware", "d", "samples"] == 1
    assert orders["aware", "K by n", "samples"] == 2.5
    assert orders["plain", "d", "samples"] is None


def test_the_bound_is_the_order_of_the_abstract() -> None:
    """K^{5/2} d² ε⁻¹ inputs with 2d + 1 samples of each, and K^{5/2} d ε⁻¹ in all."""
    assert need("agnostic", 32, 5, 10, 0.1).bound == pytest.approx(15**2.5 * 32**2 / 0.1 * 65)
    assert need("aware", 32, 5, 10, 0.1).bound == pytest.approx(15**2.5 * 32 / 0.1)
    assert need("plain", 32, 5, 10, 0.1).bound is None
    three = need("aware", 32, 5, 10, 0.1)
    assert three.samples[:3] == pytest.approx([3 * number for number in three.inputs[:3]])


def test_needs_outside_the_sizes_measured_give_no_exponent(needs: list[Need]) -> None:
    unknown = TippingPoint(math.inf, 0.0, math.inf, np.full(DRAWS, math.inf))
    few = [each if each.d in (32, 64) else each._replace(inputs=unknown) for each in needs]
    assert "d" not in {each.axis for each in exponents(few)}  # two of five values are left
    assert "K by m" in {each.axis for each in exponents(few)}


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
@pytest.mark.parametrize("biases", [(-0.1, -0.1), (-0.1, 0.4), (1.0, -1.0)])
def test_no_relu_nodes_are_more_correlated_than_their_angle_allows(epsilon: float, biases: Any) -> None:
    """By Gaussian quadrature of two nodes at an angle of sine ε: their correlation stays below √(1 − ε²)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(160)
    u, v = np.meshgrid(nodes, nodes)
    weight = np.outer(weights, weights) / (2 * math.pi)
    first = np.maximum(u + biases[0], 0)
    second = np.maximum(math.sqrt(1 - epsilon**2) * u + epsilon * v + biases[1], 0)

    def mean(values: np.ndarray) -> float:
        return float((weight * values).sum())

    covariance = mean(first * second) - mean(first) * mean(second)
    variances = [mean(values**2) - mean(values) ** 2 for values in (first, second)]
    correlation = covariance / math.sqrt(variances[0] * variances[1])
    assert 0.3 < correlation <= math.sqrt(1 - epsilon**2)
