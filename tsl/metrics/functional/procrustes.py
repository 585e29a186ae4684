"""Orthogonal Procrustes similarity and distance of two layers."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.cross_moments import CrossMoments, without_constant_nodes
from tsl.metrics.functional.linear_cka import alignment
from tsl.metrics.functional.spectrum import svdvals
from tsl.metrics.functional.wide import narrowed_moments


def procrustes_similarity(teacher: Tensor, student: Tensor) -> Tensor:
    """How similar one layer is to the other after the best rotation or reflection and scaling.

    ‖TᵀS‖_* / (‖T‖_F · ‖S‖_F), T and S centred, ‖·‖_* the sum of singular values; 0 if a layer is constant. The narrower
    layer is padded with zero nodes.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer; 1 is the same layer up to rotation, reflection and one scale.
        Cost: the product of T and S, and singular values of [m, n].

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Schönemann 1966; for layers Ding et al. 2021, "Grounding representation similarity with statistical
    testing".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0]])
        >>> round(procrustes_similarity(teacher, student).item(), 4)
        0.7071
    """
    check_finite(teacher=teacher, student=student)
    return procrustes_similarity_from_moments(narrowed_moments(teacher, student))


def procrustes_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """The distance of one layer from the best rotation or reflection of the other, both scaled to unit length.

    min over orthogonal Q of ‖T/‖T‖_F − S·Q/‖S‖_F‖_F = √(2 − 2·`procrustes_similarity`), a metric. It is computed from a
    difference to 1, so it resolves distances down to 5e-7; smaller ones are returned as 0.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, √2]. Lower is closer; 0 is the same layer up to rotation, reflection and one scale.
        Cost: that of `procrustes_similarity`.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: as for `procrustes_similarity`; Williams et al. 2021, "Generalized shape metrics on neural representations".

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0]])
        >>> round(procrustes_distance(teacher, student).item(), 4)
        0.7654
    """
    check_finite(teacher=teacher, student=student)
    return procrustes_distance_from_moments(narrowed_moments(teacher, student))


def procrustes_similarity_from_moments(moments: CrossMoments) -> Tensor:
    """`procrustes_similarity` from the moments of all samples, `[...]`."""
    check_samples("Procrustes similarity", 2, int(moments.samples))
    moments = without_constant_nodes(moments)
    squares_t, squares_s = (
        scatter.diagonal(dim1=-2, dim2=-1).sum(dim=-1) for scatter in (moments.teacher_scatter, moments.student_scatter)
    )
    return alignment(svdvals(moments.cross_scatter).sum(dim=-1), squares_t, squares_s)


def procrustes_distance_from_moments(moments: CrossMoments) -> Tensor:
    """`procrustes_distance` from the moments of all samples, `[...]`."""
    return torch.sqrt(2 - 2 * procrustes_similarity_from_moments(moments))
