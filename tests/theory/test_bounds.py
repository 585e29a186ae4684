"""The bounds against their powers written out in exact fractions, and against the growth that the paper states."""

import math
from fractions import Fraction

import pytest

from tsl.theory.bounds import augmented_samples, base_samples, gradient_bound, teacher_aware_samples


@pytest.mark.parametrize(("m", "n"), [(1, 3), (4, 12), (20, 80), (5, 31)])  # K is a square, and its power 5/2 whole
def test_samples_at_sizes_where_every_power_is_whole(m: int, n: int) -> None:
    d, epsilon, root = 7, Fraction(1, 8), math.isqrt(m + n)
    assert root**2 == m + n
    powers = root**5 / epsilon
    assert base_samples(m, n, d, 0.125) == pytest.approx(float(powers * d**2), rel=1e-12)
    assert augmented_samples(m, n, d, 0.125) == pytest.approx(float(powers * (2 * d**3 + d**2)), rel=1e-12)
    assert teacher_aware_samples(m, n, d, 0.125) == pytest.approx(float(powers * d), rel=1e-12)


def test_the_numbers_of_the_papers_two_layer_experiments() -> None:
    """m = 20, 2x, d = 100, ε = 0.1: 60^{5/2} = 27885.480, worked out by hand."""
    assert base_samples(20, 40, 100, 0.1) == pytest.approx(2.7885480e9, rel=1e-7)
    assert augmented_samples(20, 40, 100, 0.1) == pytest.approx(5.6049815e11, rel=1e-7)
    assert teacher_aware_samples(20, 40, 100, 0.1) == pytest.approx(2.7885480e7, rel=1e-7)
    assert gradient_bound(20, 40, 100, 0.1) == pytest.approx(4.3033e-6, rel=1e-4)  # 0.1 / (5 · 464.758 · 10)


@pytest.mark.parametrize(
    ("bound", "of_d", "of_k"),
    [
        (base_samples, 2, 2.5),
        (augmented_samples, 3, 2.5),
        (teacher_aware_samples, 1, 2.5),
        (gradient_bound, -0.5, -1.5),
    ],
)
def test_the_orders_of_the_paper(bound: object, of_d: float, of_k: float) -> None:
    assert callable(bound)
    d, nodes = 10**7, 1000  # large: the lower orders vanish
    assert math.log2(bound(9, 9, 2 * d, 0.1) / bound(9, 9, d, 0.1)) == pytest.approx(of_d, abs=1e-6)
    assert math.log2(bound(nodes, 3 * nodes, d, 0.1) / bound(nodes, nodes, d, 0.1)) == pytest.approx(of_k)
    of_epsilon = 1 if bound is gradient_bound else -1
    assert math.log2(bound(9, 9, d, 0.2) / bound(9, 9, d, 0.1)) == pytest.approx(of_epsilon)


def test_the_constants_are_factors() -> None:
    for bound in (base_samples, augmented_samples, teacher_aware_samples):
        assert bound(2, 3, 4, 0.5, constant=3.0) == pytest.approx(3 * bound(2, 3, 4, 0.5))
    assert gradient_bound(2, 3, 4, 0.5, alpha=0.2, c=2.0) == pytest.approx(0.5 * gradient_bound(2, 3, 4, 0.5))
