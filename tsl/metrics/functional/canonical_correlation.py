"""Canonical correlation analysis of two layers, plain and over their leading principal directions."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.cross_moments import CrossMoments, cross_moments, undefined, without_constant_nodes
from tsl.metrics.functional.precision import clamp_to_one
from tsl.metrics.functional.spectrum import svdvals, whitening
from tsl.metrics.functional.wide import narrowed_moments


def cca(teacher: Tensor, student: Tensor) -> Tensor:
    """The mean canonical correlation of two layers.

    CCA = (1/r) Σ_i ρ_i, where ρ_i are the singular values of the cross-covariance of the whitened layers and r is the
    smaller rank; 0 if a layer is constant. Directions whose spread is below 1e-6 of the largest are only rounding and
    are left out, so dead, repeated and linearly dependent nodes are harmless. With no more samples than nodes it is 1
    for any two layers.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer; 1 if one layer is a linear function of the other. Invariant to
        any invertible linear map of either. Cost: the three products of T and S with themselves and each other, two
        eigendecompositions, and singular values of [m, n].

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Hotelling 1936; as a measure of layers Raghu et al. 2017 and Kornblith et al. 2019 (mean CCA).

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [1.0], [-2.0]])
        >>> round(cca(teacher, student).item(), 4)
        0.9856
    """
    check_finite(teacher=teacher, student=student)
    return cca_from_moments(cross_moments(teacher, student, full=True))


def cca_from_moments(moments: CrossMoments) -> Tensor:
    """`cca` from the moments of all samples, `[...]`."""
    check_samples("CCA", 2, int(moments.samples))
    return _mean_correlation(standardized(moments), variance=1.0)


def svcca(teacher: Tensor, student: Tensor) -> Tensor:
    """Singular vector CCA: the mean canonical correlation of the principal directions with 99 % of the variance.

    Each layer is reduced to the fewest principal directions that hold 99 % of its variance; the rest is as in `cca`.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer. Invariant to rotation, reflection and one scale of either layer,
        but not to scales of single nodes. Cost: that of `cca`.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Raghu et al. 2017, "SVCCA: singular vector canonical correlation analysis".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 0.01], [-1.0, 0.0], [0.0, -0.01]])
        >>> student = torch.tensor([[0.0], [2.0], [1.0], [-2.0]])
        >>> round(svcca(teacher, student).item(), 4)
        0.239
    """
    check_finite(teacher=teacher, student=student)
    return svcca_from_moments(narrowed_moments(teacher, student))


def svcca_from_moments(moments: CrossMoments) -> Tensor:
    """`svcca` from the moments of all samples, `[...]`."""
    check_samples("SVCCA", 2, int(moments.samples))
    return _mean_correlation(without_constant_nodes(moments), variance=0.99)


def standardized(moments: CrossMoments) -> CrossMoments:
    """The moments of nodes scaled to unit variance (constant ones to 0): CCA stays the same, rounding errors shrink."""
    moments = without_constant_nodes(moments)
    scale_t, scale_s = (
        torch.where(squares > 0, squares, 1).rsqrt()
        for squares in (
            moments.teacher_scatter.diagonal(dim1=-2, dim2=-1),
            moments.student_scatter.diagonal(dim1=-2, dim2=-1),
        )
    )
    return moments._replace(
        teacher_scatter=moments.teacher_scatter * scale_t.unsqueeze(-1) * scale_t.unsqueeze(-2),
        student_scatter=moments.student_scatter * scale_s.unsqueeze(-1) * scale_s.unsqueeze(-2),
        cross_scatter=moments.cross_scatter * scale_t.unsqueeze(-1) * scale_s.unsqueeze(-2),
    )


def _mean_correlation(moments: CrossMoments, variance: float) -> Tensor:
    whitener_t, rank_t = whitening(moments.teacher_scatter, variance)
    whitener_s, rank_s = whitening(moments.student_scatter, variance)
    correlations = clamp_to_one(svdvals(whitener_t.mT @ moments.cross_scatter @ whitener_s))
    mean = clamp_to_one(correlations.sum(dim=-1) / torch.minimum(rank_t, rank_s).clamp(min=1))
    return mean + undefined(moments)
