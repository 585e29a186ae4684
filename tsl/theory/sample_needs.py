"""The measured number of samples for recovery at ε, its growth, and its growth by the theorem's orders.

A teacher node counts as recovered at ε if its best correlation ρ* exceeds √(1 − ε²). For Gaussian inputs the sine
between its weights and those of that student is then below ε, for any biases: functions of two jointly Gaussian numbers
are never more correlated than the numbers themselves (Gebelein 1941; Lancaster 1957, Biometrika 44, 289). This is the
part of the theorem's ε-alignment that concerns the weights. A gap between the biases lowers ρ* too, but is not bounded
separately here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median_low
from typing import NamedTuple

from tsl.theory.bounds import augmented_samples, teacher_aware_samples
from tsl.theory.tipping_point import Growth, TippingPoint, growth

LEAST_VALUES = 3
"""The smallest number of needs along an axis for which an exponent is fitted."""

BOUNDS = {"agnostic": augmented_samples, "aware": teacher_aware_samples}
"""The theorem's order of the number of samples, including augmented ones, by kind of augmentation."""


class Need(NamedTuple):
    """The number of inputs that recovery at ε needs.

    Attributes:
        kind: "plain", or the augmentation: "agnostic" or "aware".
        d: Input dimension.
        m: Teacher nodes.
        n: Student nodes.
        epsilon: ε.
        samples_each: Samples of each input, including augmented ones.
        inputs: The number of inputs, before augmentation.
    """

    kind: str
    d: int
    m: int
    n: int
    epsilon: float
    samples_each: int
    inputs: TippingPoint

    @property
    def samples(self) -> TippingPoint:
        """The number of samples, including augmented ones."""
        point, each = self.inputs, self.samples_each
        return TippingPoint(point.size * each, point.low * each, point.high * each, point.draws * each)

    @property
    def bound(self) -> float | None:
        """The theorem's order of the number of samples, with a constant of 1; None for plain inputs."""
        order = BOUNDS.get(self.kind)
        return None if order is None else order(self.m, self.n, self.d, self.epsilon)


AXES: Mapping[str, Callable[[Need], float]] = {
    "d": lambda need: need.d,
    "K by m": lambda need: need.m + need.n,
    "K by n": lambda need: need.m + need.n,
    "1/ε": lambda need: 1 / need.epsilon,
}
"""Quantities that vary, one at a time: K = m + n grows by teacher nodes with n/m fixed, or by student nodes alone."""

ORDERS: Mapping[str, Mapping[str, float]] = {
    "d": {"agnostic": 3, "aware": 1},
    "K by m": {"agnostic": 2.5, "aware": 2.5},
    "K by n": {"agnostic": 2.5, "aware": 2.5},
    "1/ε": {"agnostic": 1, "aware": 1},
}
"""The exponents of the theorem's orders, including augmented samples. In inputs, agnostic data needs order d²."""


class Exponent(NamedTuple):
    """How needs grow along an axis.

    Attributes:
        kind: As in `Need`.
        axis: A key of `AXES`.
        epsilon: ε of the needs; None along 1/ε.
        counted: "samples", or "inputs" without augmented ones; the exponents differ only along d.
        fit: The fit over the needs found.
        values: The number of needs.
        order: The theorem's exponent; None for plain inputs.
    """

    kind: str
    axis: str
    epsilon: float | None
    counted: str
    fit: Growth
    values: int
    order: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval, by the normal approximation."""
        half = 1.96 * self.fit.standard_error
        return self.fit.exponent - half, self.fit.exponent + half


def along(needs: Sequence[Need], axis: str) -> list[Need]:
    """The needs along one axis: those in which all other quantities are the median over all needs."""
    d, m, n = (median_low(getattr(need, name) for need in needs) for name in "dmn")
    chosen: dict[str, Callable[[Need], bool]] = {
        "d": lambda need: (need.m, need.n) == (m, n),
        "K by m": lambda need: need.d == d and need.n * m == n * need.m,
        "K by n": lambda need: (need.d, need.m) == (d, m),
        "1/ε": lambda need: (need.d, need.m, need.n) == (d, m, n),
    }
    return [need for need in needs if chosen[axis](need)]


def exponents(needs: Sequence[Need]) -> Iterator[Exponent]:
    """The exponents of each kind of data along each axis at each ε, from needs within the range of measured sizes."""
    for axis, value in AXES.items():
        of_axis = along(needs, axis)
        for kind in dict.fromkeys(need.kind for need in needs):
            for epsilon in [None] if axis == "1/ε" else dict.fromkeys(need.epsilon for need in needs):
                rows = [need for need in of_axis if need.kind == kind and epsilon in (None, need.epsilon)]
                for counted in ["inputs", "samples"] if axis == "d" and kind != "plain" else ["samples"]:
                    points = {value(need): getattr(need, counted) for need in rows}
                    found = sum(point.found for point in points.values())
                    fit = growth(points)
                    if fit is not None and found >= LEAST_VALUES:
                        order = ORDERS[axis].get(kind)
                        if counted == "inputs" and kind == "agnostic":
                            order = 2
                        yield Exponent(kind, axis, epsilon, counted, fit, found, order)
