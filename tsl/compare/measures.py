"""The measures of a pair of layers, by name.

`_a` and `_b` name the network whose nodes are averaged or explained, if that makes a difference. The other measures do
not change if the two networks are swapped.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from tsl.compare.sums import LayerSums, PairSums, cross_moments_of, norm_moments_of
from tsl.errors import InputError
from tsl.metrics.functional.canonical_correlation import cca_from_moments, svcca_from_moments
from tsl.metrics.functional.cross_moments import CrossMoments, constant_nodes
from tsl.metrics.functional.debiased_linear_cka import debiased_linear_cka_from_moments
from tsl.metrics.functional.linear_cka import linear_cka_from_moments
from tsl.metrics.functional.linear_regression_r2 import linear_regression_r2_from_moments
from tsl.metrics.functional.node_correlation import node_correlation_from_moments
from tsl.metrics.functional.one_to_one import one_to_one_mean
from tsl.metrics.functional.procrustes import procrustes_similarity_from_moments
from tsl.metrics.functional.rho_mean import rho_mean
from tsl.metrics.functional.soft_matching import soft_matching

MINIBATCH = "minibatch_cka"
"""The measure of flattened outputs, from `tsl.compare.grams`; all others are measures of nodes."""


class Statistics:
    """Statistics of two layers from all inputs except those of one group.

    Args:
        t: Sums of the first layer.
        s: Sums of the second layer.
        pair: Sums of products of both.
        without: The group left out; none if None.
    """

    def __init__(self, t: LayerSums, s: LayerSums, pair: PairSums, without: int | None = None) -> None:
        self._sums = t, s, pair, without

    @cached_property
    def moments(self) -> CrossMoments:
        """Means and scatter, whole or diagonal."""
        return cross_moments_of(*self._sums)

    @cached_property
    def correlation(self) -> Tensor:
        """ρ_jk of every pair of nodes, `[m, n]`."""
        moments = self.moments
        if moments.teacher_scatter.ndim > 1:
            diagonals = (scatter.diagonal() for scatter in (moments.teacher_scatter, moments.student_scatter))
            moments = moments._replace(**dict(zip(("teacher_scatter", "student_scatter"), diagonals, strict=True)))
        return node_correlation_from_moments(moments)

    @cached_property
    def constant(self) -> tuple[Tensor, Tensor]:
        """Which nodes of each layer never change, `[m]` and `[n]`."""
        return constant_nodes(self.moments)

    @cached_property
    def varying(self) -> Tensor:
        """ρ_jk of the nodes that change. Averages are over these, so that a network has 1 with itself."""
        constant_t, constant_s = self.constant
        if not (constant_t.any() or constant_s.any()):
            return self.correlation
        return self.correlation[~constant_t][:, ~constant_s]

    @cached_property
    def debiased_linear_cka(self) -> Tensor:
        """See `tsl.metrics.functional.debiased_linear_cka`."""
        return debiased_linear_cka_from_moments(self.moments, norm_moments_of(*self._sums))


class Measure(NamedTuple):
    """How a measure is computed from `Statistics`.

    Attributes:
        value: The function; higher is closer, 1 for a layer and itself.
        full: Whether it needs the products of each layer's nodes with each other.
        least: Its smallest possible value.
    """

    value: Callable[[Statistics], Tensor]
    full: bool
    least: float


def _over_varying(value: Callable[[Tensor], Tensor]) -> Callable[[Statistics], Tensor]:
    """A measure of the correlations of the nodes that change; 0 if a layer has none."""
    return lambda pair: value(pair.varying) if pair.varying.numel() else pair.correlation.new_zeros(())


def _one_to_one(correlation: Tensor) -> Tensor:
    """The mean correlation of the one-to-one matching, over the nodes of the narrower layer."""
    return one_to_one_mean(correlation if correlation.shape[0] <= correlation.shape[1] else correlation.mT)


MEASURES: dict[str, Measure] = {
    "linear_cka": Measure(lambda pair: linear_cka_from_moments(pair.moments), True, 0),
    "debiased_linear_cka": Measure(lambda pair: pair.debiased_linear_cka, True, -1),
    "rho_mean_a": Measure(_over_varying(rho_mean), False, -1),
    "rho_mean_b": Measure(_over_varying(lambda correlation: rho_mean(correlation.mT)), False, -1),
    "one_to_one": Measure(_over_varying(_one_to_one), False, -1),
    "soft_matching": Measure(_over_varying(soft_matching), False, -1),
    "procrustes_similarity": Measure(lambda pair: procrustes_similarity_from_moments(pair.moments), True, 0),
    "cca": Measure(lambda pair: cca_from_moments(pair.moments), True, 0),
    "svcca": Measure(lambda pair: svcca_from_moments(pair.moments), True, 0),
    "linear_regression_r2_a": Measure(
        lambda pair: linear_regression_r2_from_moments(pair.moments, "teacher_from_student"), True, 0
    ),
    "linear_regression_r2_b": Measure(
        lambda pair: linear_regression_r2_from_moments(pair.moments, "student_from_teacher"), True, 0
    ),
}

NAMES = (MINIBATCH, *MEASURES)


def check_measures(names: Sequence[str]) -> None:
    """Refuse measures that do not exist.

    Raises:
        InputError: If one does not exist, or none is named; the message lists the nearest names.
    """
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, 3) or NAMES
            raise InputError(f"measures: there is no {name}; nearest: {', '.join(near)}")
    if not names:
        raise InputError(f"measures: expected at least one of {', '.join(NAMES)}")


def swapped(name: str) -> str:
    """The measure's name with the two networks swapped.

    >>> swapped("rho_mean_a"), swapped("cca")
    ('rho_mean_b', 'cca')
    """
    stem, side = name[:-2], name[-2:]
    return stem + {"_a": "_b", "_b": "_a"}[side] if side in ("_a", "_b") else name
