"""Means and centred second moments of teacher and student activations, from which most measures are computed.

Batches are centred before they are multiplied, and merged by the parallel update of Chan, Golub and LeVeque (1983,
"Algorithms for computing the sample variance"), so no precision is lost if a mean is far larger than the spread.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations
from tsl.metrics.functional.blocks import Block, over_replicates
from tsl.metrics.functional.precision import accumulation_dtype

CONSTANT = 4
"""A node is constant if its standard deviation is at most this many machine epsilons (of its input) times its mean."""


class CrossMoments(NamedTuple):
    """Sufficient statistics of N samples of m teacher and n student nodes; letters as in `tsl.metrics`.

    Attributes:
        samples: Number of samples N, `[]`.
        resolution: Machine epsilon of the coarsest activations seen, `[]`.
        teacher_mean: `[..., m]`.
        student_mean: `[..., n]`.
        teacher_scatter: Σ (t − t̄)(t − t̄)ᵀ, `[..., m, m]`, or its diagonal alone, `[..., m]`.
        student_scatter: Σ (s − s̄)(s − s̄)ᵀ, `[..., n, n]`, or its diagonal alone, `[..., n]`.
        cross_scatter: Σ (t − t̄)(s − s̄)ᵀ, `[..., m, n]`.
    """

    samples: Tensor
    resolution: Tensor
    teacher_mean: Tensor
    student_mean: Tensor
    teacher_scatter: Tensor
    student_scatter: Tensor
    cross_scatter: Tensor


def cross_moments(teacher: Tensor, student: Tensor, *, full: bool, products: torch.dtype | None = None) -> CrossMoments:
    """The moments of one batch, in float64 whatever the activations' precision.

    Args:
        teacher: `[..., samples, m]`.
        student: `[..., samples, n]`.
        full: Whether to compute the two scatter matrices whole, or only their diagonals.
        products: Precision in which a block's centred activations are multiplied and summed, before blocks are added in
            float64; float64 if None.

    Returns:
        The moments of these samples. Cost: one product [m, samples] × [samples, n], and for `full` also the products of
        teacher and student with themselves; memory for one block beside the result.

    Raises:
        ValueError: If the activations cannot be compared.

    Example:
        >>> moments = cross_moments(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [4.0]]), full=False)
        >>> moments.teacher_mean.item(), moments.cross_scatter.item()
        (2.0, 4.0)
    """
    check_activations(teacher, student)
    return counted(
        teacher, student, over_replicates(partial(centred_sums, full=full, products=products), teacher, student)
    )


def counted(teacher: Tensor, student: Tensor, sums: Sequence[Tensor]) -> CrossMoments:
    """The result of `centred_sums`, together with the number of samples and their resolution."""
    resolution = max(torch.finfo(teacher.dtype).eps, torch.finfo(student.dtype).eps)
    return CrossMoments(sums[0].new_tensor(teacher.shape[-2]), sums[0].new_tensor(resolution), *sums)


def centred_sums(blocks: Sequence[Block], full: bool, products: torch.dtype | None = None) -> list[Tensor]:
    """Means and scatter of a few replicates.

    The mean of the first block is subtracted, and the sums are corrected to the mean of all samples at the end. If the
    first block holds a fraction f of the samples, its mean is within √(1/f) standard deviations of the mean of all. The
    correction therefore cancels at most a factor 1/f, for any data.
    """
    dtype = accumulation_dtype(blocks[0][0].device)
    means = (first.to(dtype).sum(dim=1, keepdim=True) / max(first.shape[1], 1) for first in blocks[0])
    shift_t, shift_s = (mean.to(products or dtype) for mean in means)
    samples = 0
    sums: list[Tensor] = []
    for t, s in blocks:
        samples += t.shape[1]
        t, s = t.to(shift_t.dtype) - shift_t, s.to(shift_s.dtype) - shift_s
        block = [
            t.sum(dim=1),
            s.sum(dim=1),
            t.mT @ t if full else t.square().sum(dim=1),
            s.mT @ s if full else s.square().sum(dim=1),
            t.mT @ s,
        ]
        sums = (
            [total.add_(part) for total, part in zip(sums, block, strict=True)]
            if sums
            else [part.to(dtype) for part in block]
        )
    return recentred(samples, shift_t.squeeze(1), shift_s.squeeze(1), sums, full)


def recentred(samples: int, shift_t: Tensor, shift_s: Tensor, sums: Sequence[Tensor], full: bool) -> list[Tensor]:
    """Turn sums about a shift into means and scatter about the means: the fields of `CrossMoments` from the third on.

    Args:
        samples: Number N of samples.
        shift_t: What was subtracted from the teacher's nodes, `[..., m]`.
        shift_s: What was subtracted from the student's nodes, `[..., n]`.
        sums: Σ t̃, Σ s̃, Σ t̃t̃ᵀ, Σ s̃s̃ᵀ (or their diagonals) and Σ t̃s̃ᵀ; the last is overwritten.
        full: Whether the scatter matrices are whole, rather than only their diagonals.
    """
    sum_t, sum_s, scatter_t, scatter_s, cross = sums
    offset_t, offset_s = sum_t / max(samples, 1), sum_s / max(samples, 1)
    return [
        shift_t + offset_t,
        shift_s + offset_s,
        scatter_t - samples * _square(offset_t, full),
        scatter_s - samples * _square(offset_s, full),
        _add_outer(cross, -samples * offset_t, offset_s),
    ]


def merge(first: CrossMoments, second: CrossMoments) -> CrossMoments:
    """The moments of the samples of both, by the parallel update; either may have no samples.

    With δ the difference of the means: mean = mean₁ + δ·N₂/N, scatter = scatter₁ + scatter₂ + δδᵀ·N₁N₂/N.
    """
    samples = first.samples + second.samples
    share = second.samples / samples.clamp(min=1)
    weight = first.samples * share
    full = first.teacher_scatter.ndim > first.teacher_mean.ndim
    delta_t, delta_s = second.teacher_mean - first.teacher_mean, second.student_mean - first.student_mean
    return CrossMoments(
        samples,
        torch.maximum(first.resolution, second.resolution),
        first.teacher_mean + delta_t * share,
        first.student_mean + delta_s * share,
        first.teacher_scatter + second.teacher_scatter + weight * _square(delta_t, full),
        first.student_scatter + second.student_scatter + weight * _square(delta_s, full),
        _add_outer(first.cross_scatter + second.cross_scatter, weight * delta_t, delta_s),
    )


def constant_nodes(moments: CrossMoments) -> tuple[Tensor, Tensor]:
    """Which teacher and which student nodes never change except by rounding, `[..., m]` and `[..., n]` bool.

    A node is constant if its standard deviation, relative to its mean, is at most `CONSTANT` machine epsilons of its
    activations' original precision. A dead node, zero everywhere, is constant. A node whose scatter is not finite is
    not.
    """
    result = []
    for mean, scatter in (
        (moments.teacher_mean, moments.teacher_scatter),
        (moments.student_mean, moments.student_scatter),
    ):
        squares = scatter if scatter.ndim == mean.ndim else scatter.diagonal(dim1=-2, dim2=-1)
        small = squares <= moments.samples * (CONSTANT * moments.resolution * mean).square()
        result.append(small & squares.isfinite())
    return result[0], result[1]


def without_constant_nodes(moments: CrossMoments) -> CrossMoments:
    """The moments, with whole scatter matrices, after setting the rounding errors of constant nodes to 0."""
    constant_t, constant_s = constant_nodes(moments)
    keep_t, keep_s = (~constant_t).to(moments.cross_scatter.dtype), (~constant_s).to(moments.cross_scatter.dtype)
    return moments._replace(
        teacher_scatter=moments.teacher_scatter * _outer(keep_t, keep_t),
        student_scatter=moments.student_scatter * _outer(keep_s, keep_s),
        cross_scatter=moments.cross_scatter * _outer(keep_t, keep_s),
    )


def undefined(moments: CrossMoments) -> Tensor:
    """NaN for replicates whose moments are not finite, else 0, `[...]`; added to a measure, it makes those NaN.

    Moments are not finite if activations are NaN or infinite, or if their squares overflow.
    """
    return 0 * (moments.teacher_scatter.flatten(-2).sum(dim=-1) + moments.student_scatter.flatten(-2).sum(dim=-1))


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left.unsqueeze(-1) * right.unsqueeze(-2)


def _add_outer(matrix: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return matrix.addcmul_(left.unsqueeze(-1), right.unsqueeze(-2))  # one pass over the largest tensor, in place


def _square(vector: Tensor, full: bool) -> Tensor:
    return _outer(vector, vector) if full else vector.square()
