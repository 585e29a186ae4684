"""Projection-weighted canonical correlation analysis of two layers."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.canonical_correlation import standardized
from tsl.metrics.functional.cross_moments import CrossMoments, cross_moments, undefined, without_constant_nodes
from tsl.metrics.functional.precision import clamp_to_one
from tsl.metrics.functional.spectrum import svd, whitening


def pwcca(teacher: Tensor, student: Tensor) -> Tensor:
    """Projection-weighted CCA: canonical correlations weighted by how much of the teacher each accounts for.

    PWCCA = Σ_i α_i ρ_i / Σ_i α_i, α_i = Σ_j |⟨h_i, t_j⟩|, h_i the teacher's canonical variates (of unit length over the
    samples), i up to the smaller rank; 0 if a layer is constant. Rounding and too few samples have the same effect as
    for `cca`. The measure is not symmetric in teacher and student, and it is not unique if some, but not all, canonical
    correlations are equal.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer. Invariant to any invertible linear map of the student. Cost: that
        of `cca`, with singular vectors of [m, n].

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Morcos et al. 2018, "Insights on representational similarity in neural networks with canonical correlation".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0], [-2.0, 0.0]])
        >>> round(pwcca(teacher, student).item(), 4)
        0.8922
    """
    check_finite(teacher=teacher, student=student)
    return pwcca_from_moments(cross_moments(teacher, student, full=True))


def pwcca_from_moments(moments: CrossMoments) -> Tensor:
    """`pwcca` from the moments of all samples, `[...]`."""
    check_samples("PWCCA", 2, int(moments.samples))
    scaled = standardized(moments)
    whitener_t, rank_t = whitening(scaled.teacher_scatter)
    whitener_s, rank_s = whitening(scaled.student_scatter)
    directions, correlations = svd(whitener_t.mT @ scaled.cross_scatter @ whitener_s)
    variates = whitener_t @ directions  # h_i = T·variates[:, i], T standardized
    length = without_constant_nodes(moments).teacher_scatter.diagonal(dim1=-2, dim2=-1).sqrt()
    share = (length.unsqueeze(-1) * (scaled.teacher_scatter @ variates)).abs().sum(dim=-2)
    index = torch.arange(share.shape[-1], device=share.device)
    share = share.where(index < torch.minimum(rank_t, rank_s).unsqueeze(-1), 0)
    total = share.sum(dim=-1)
    value = (share * clamp_to_one(correlations)).sum(dim=-1) / total.where(total > 0, 1)
    return clamp_to_one(value) + undefined(moments)
