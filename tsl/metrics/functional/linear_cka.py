"""Linear centred kernel alignment of two layers."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.cross_moments import CrossMoments, without_constant_nodes
from tsl.metrics.functional.precision import clamp_to_one
from tsl.metrics.functional.wide import narrowed_moments


def linear_cka(teacher: Tensor, student: Tensor) -> Tensor:
    """Linear centred kernel alignment, biased: how alike the two layers' similarities between samples are.

    CKA = ‖TᵀS‖²_F / (‖TᵀT‖_F · ‖SᵀS‖_F), T and S centred; 0 if a layer is constant. If there are few samples compared
    with nodes, it is far above 0 even for unrelated layers; `debiased_linear_cka` is not.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer; 1 is the same layer up to rotation, reflection and one scale.
        Cost: the three products of T and S with themselves and each other, at most samples² · (m + n) multiplications
        if there are more nodes than samples (`tsl.metrics.functional.wide.narrowed`).

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Kornblith et al. 2019, "Similarity of neural network representations revisited".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0]])
        >>> round(linear_cka(teacher, student).item(), 4)
        0.7071
    """
    check_finite(teacher=teacher, student=student)
    return linear_cka_from_moments(narrowed_moments(teacher, student))


def linear_cka_from_moments(moments: CrossMoments) -> Tensor:
    """`linear_cka` from the moments of all samples, `[...]`."""
    check_samples("linear CKA", 2, int(moments.samples))
    moments = without_constant_nodes(moments)
    norm_t, norm_s, norm_cross = (
        torch.linalg.matrix_norm(scatter)
        for scatter in (moments.teacher_scatter, moments.student_scatter, moments.cross_scatter)
    )
    return alignment(norm_cross.square(), norm_t.square(), norm_s.square())


def alignment(cross: Tensor, teacher: Tensor, student: Tensor) -> Tensor:
    """Cross / √(teacher · student), in [−1, 1]; 0 if either is not positive, NaN if any is not finite."""
    defined = (teacher > 0) & (student > 0)
    norm = teacher.where(defined, 1).sqrt() * student.where(defined, 1).sqrt()
    return torch.where(defined, clamp_to_one(cross / norm), 0) + 0 * (cross + teacher + student)
