"""Linear centred kernel alignment without the bias of few samples, from moments that stream."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations, check_finite, check_samples
from tsl.metrics.functional.blocks import Block, over_replicates
from tsl.metrics.functional.cross_moments import CrossMoments, centred_sums, constant_nodes, counted, merge, undefined
from tsl.metrics.functional.linear_cka import alignment
from tsl.metrics.functional.wide import narrowed


class NormMoments(NamedTuple):
    """Moments of the squared lengths of centred activations, a = ‖t − t̄‖² and b = ‖s − s̄‖².

    Attributes:
        aa: Σ a², `[...]`.
        ab: Σ a·b, `[...]`.
        bb: Σ b², `[...]`.
        at: Σ a·(t − t̄), `[..., m]`.
        bt: Σ b·(t − t̄), `[..., m]`.
        as_: Σ a·(s − s̄), `[..., n]`.
        bs: Σ b·(s − s̄), `[..., n]`.
    """

    aa: Tensor
    ab: Tensor
    bb: Tensor
    at: Tensor
    bt: Tensor
    as_: Tensor
    bs: Tensor


def debiased_linear_cka(teacher: Tensor, student: Tensor) -> Tensor:
    """Linear centred kernel alignment by the unbiased estimate of HSIC: 0 on average for unrelated layers.

    CKA = H(T, S) / √(H(T, T) · H(S, S)), 0 if a layer is constant, with T and S centred, a = ‖t‖², b = ‖s‖² of each
    sample, and, up to a factor that cancels,

    H(T, S) = ‖TᵀS‖²_F − N/(N−2) · Σ a·b + Σ a · Σ b / ((N−1)(N−2))

    This is the estimate of Song et al. with its samples × samples kernels multiplied out, so it streams exactly.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [−1, 1], below 0 by chance only. Higher is closer; 1 is the same layer up to rotation,
        reflection and one scale. Cost: the three products of T and S with themselves and each other, and a second pass.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 4 samples.

    Source: Song et al. 2012, "Feature selection via dependence maximization", equation 5; Nguyen et al. 2021, "Do wide
    and deep networks learn the same things?".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [3.0, 2.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0], [5.0]])
        >>> round(debiased_linear_cka(teacher, student).item(), 4)
        0.5711
    """
    check_finite(teacher=teacher, student=student)
    check_activations(teacher, student)
    return debiased_linear_cka_from_moments(*norm_moments(narrowed(teacher), narrowed(student)))


def norm_moments(teacher: Tensor, student: Tensor) -> tuple[CrossMoments, NormMoments]:
    """The moments of one batch, `[..., samples, m]` and `[..., samples, n]`, in float64.

    Raises:
        ValueError: If the activations cannot be compared.
    """
    check_activations(teacher, student)
    sums = over_replicates(_sums, teacher, student)
    return counted(teacher, student, sums[:5]), NormMoments(*sums[5:])


def _sums(blocks: Sequence[Block]) -> list[Tensor]:
    centred = centred_sums(blocks, full=True)
    mean_t, mean_s = centred[0].unsqueeze(1), centred[1].unsqueeze(1)
    sums: list[Tensor] = []
    for t, s in blocks:
        t, s = t - mean_t, s - mean_s
        a, b = t.square().sum(dim=-1), s.square().sum(dim=-1)
        scalars = [(left * right).sum(dim=1) for left, right in ((a, a), (a, b), (b, b))]
        vectors = [(length.unsqueeze(1) @ nodes).squeeze(1) for nodes in (t, s) for length in (a, b)]
        block = [*scalars, *vectors]
        sums = [total.add_(part) for total, part in zip(sums, block, strict=True)] if sums else block
    return centred + sums


def merge_norms(
    first: tuple[CrossMoments, NormMoments], second: tuple[CrossMoments, NormMoments]
) -> tuple[CrossMoments, NormMoments]:
    """The moments of the samples of both: each moved to the common mean, then added."""
    moments = merge(first[0], second[0])
    moved = [_moved(*part, moments) for part in (first, second)]
    return moments, NormMoments(*(one + other for one, other in zip(*moved, strict=True)))


def _moved(moments: CrossMoments, norms: NormMoments, about: CrossMoments) -> NormMoments:
    """The norm moments about the means of `about`: ‖t + δ‖² = a + 2δ·t + ‖δ‖², and so on, summed over samples."""
    shift_t, shift_s = moments.teacher_mean - about.teacher_mean, moments.student_mean - about.student_mean
    length_t, length_s = _dot(shift_t, shift_t), _dot(shift_s, shift_s)
    total_a, total_b = _trace(moments.teacher_scatter), _trace(moments.student_scatter)
    tt, ss = _times(moments.teacher_scatter, shift_t), _times(moments.student_scatter, shift_s)
    ts, st = _times(moments.cross_scatter, shift_s), _times(moments.cross_scatter.mT, shift_t)
    number = moments.samples
    # Σ ‖t + δ‖² and Σ ‖s + δ‖²: the factors of the shifts in the sums of vectors below.
    weight_a, weight_b = (total_a + number * length_t).unsqueeze(-1), (total_b + number * length_s).unsqueeze(-1)
    return NormMoments(
        norms.aa + 4 * _dot(shift_t, norms.at + tt) + length_t * (2 * total_a + number * length_t),
        norms.ab
        + 2 * _dot(shift_s, norms.as_)
        + 2 * _dot(shift_t, norms.bt + 2 * ts)
        + length_s * total_a
        + length_t * total_b
        + number * length_t * length_s,
        norms.bb + 4 * _dot(shift_s, norms.bs + ss) + length_s * (2 * total_b + number * length_s),
        norms.at + 2 * tt + weight_a * shift_t,
        norms.bt + 2 * ts + weight_b * shift_t,
        norms.as_ + 2 * st + weight_a * shift_s,
        norms.bs + 2 * ss + weight_b * shift_s,
    )


def debiased_linear_cka_from_moments(moments: CrossMoments, norms: NormMoments) -> Tensor:
    """`debiased_linear_cka` from the moments of all samples, `[...]`."""
    number = int(moments.samples)
    check_samples("debiased linear CKA", 4, number)
    total_a, total_b = _trace(moments.teacher_scatter), _trace(moments.student_scatter)

    def independence(scatter: Tensor, products: Tensor, totals: Tensor) -> Tensor:
        squares = torch.linalg.matrix_norm(scatter).square()
        return squares - number / (number - 2) * products + totals / ((number - 1) * (number - 2))

    value = alignment(
        independence(moments.cross_scatter, norms.ab, total_a * total_b),
        independence(moments.teacher_scatter, norms.aa, total_a * total_a),
        independence(moments.student_scatter, norms.bb, total_b * total_b),
    )
    constant_t, constant_s = constant_nodes(moments)
    return torch.where(constant_t.all(dim=-1) | constant_s.all(dim=-1), 0, value) + undefined(moments)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(dim=-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
