"""Cosine of every teacher node's activations with every student node's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations, check_finite
from tsl.metrics.functional.blocks import Block, over_replicates
from tsl.metrics.functional.precision import accumulation_dtype, clamp_to_one


def cosine_correlation(teacher: Tensor, student: Tensor) -> Tensor:
    """Cosine of every teacher node with every student node over the samples: a correlation about 0 instead of the mean.

    cos_jk = Σ t_j s_k / √(Σ t_j² · Σ s_k²), and 0 if either node is 0 on every sample.

    Args:
        teacher: Post-activation outputs t_j, `[..., samples, m]`.
        student: Post-activation outputs s_k, `[..., samples, n]`.

    Returns:
        `[..., m, n]`, float64, in [−1, 1], for ReLU outputs in [0, 1]. Higher is closer; 1 is the same node up to a
        positive scale. Cost: one product [m, samples] × [samples, n].

    Raises:
        ValueError: If the activations cannot be compared or are not finite.

    Example:
        >>> teacher = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
        >>> student = torch.tensor([[1.0, 0.0], [3.0, 1.0], [5.0, 0.0]])
        >>> cosine_correlation(teacher, student)
        tensor([[0.9827, 0.4472],
                [0.1690, 0.0000]], dtype=torch.float64)
    """
    check_finite(teacher=teacher, student=student)
    return cosine_correlation_from_sums(*cosine_sums(teacher, student))


def cosine_sums(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Σ t_j², `[..., m]`, Σ s_k², `[..., n]`, and Σ t_j s_k, `[..., m, n]`."""
    check_activations(teacher, student)
    squares_t, squares_s, products = over_replicates(_sums, teacher, student)
    return squares_t, squares_s, products


def _sums(blocks: Sequence[Block]) -> list[Tensor]:
    dtype = accumulation_dtype(blocks[0][0].device)
    sums: list[Tensor] = []
    for t, s in blocks:
        t, s = t.to(dtype), s.to(dtype)
        block = [t.square().sum(dim=1), s.square().sum(dim=1), t.mT @ s]
        sums = [total.add_(part) for total, part in zip(sums, block, strict=True)] if sums else block
    return sums


def cosine_correlation_from_sums(teacher_squares: Tensor, student_squares: Tensor, products: Tensor) -> Tensor:
    """`cosine_correlation` from the sums over all samples, `[..., m, n]`."""
    dead = (teacher_squares == 0).unsqueeze(-1) | (student_squares == 0).unsqueeze(-2)
    norm_t = teacher_squares.where(teacher_squares != 0, 1).sqrt().unsqueeze(-1)
    norm_s = student_squares.where(student_squares != 0, 1).sqrt().unsqueeze(-2)
    return torch.where(dead, 0, clamp_to_one(products / norm_t / norm_s)) + 0 * (norm_t * norm_s)
