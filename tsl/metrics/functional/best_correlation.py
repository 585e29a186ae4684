"""The best-correlated partner of every teacher node and of every student node."""

from typing import NamedTuple

from torch import Tensor


class BestCorrelation(NamedTuple):
    """The best partner of every node; nodes are counted from 0 here, from 1 in records.

    Attributes:
        teacher_correlation: ρ*_j = max_k ρ_jk of each teacher node, `[..., m]`.
        best_student: The student node k that attains it, `[..., m]` int64.
        student_correlation: max_j ρ_jk of each student node, `[..., n]`.
        best_teacher: The teacher node j that attains it, `[..., n]` int64.
    """

    teacher_correlation: Tensor
    best_student: Tensor
    student_correlation: Tensor
    best_teacher: Tensor


def best_correlation(correlation: Tensor) -> BestCorrelation:
    """The best correlation of every teacher node and of every student node, and the partner that has it.

    ρ*_j = max_k ρ_jk for teacher node j, and max_j ρ_jk for student node k. If several are equal, one of them is taken.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.

    Returns:
        Values and indices for both networks. Range and direction are those of the correlation. Cost: two passes over
        it.

    Source: the paper's experiments (Tian, ICML 2020).

    Example:
        >>> import torch
        >>> best = best_correlation(torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.8, 0.4]]))
        >>> best.teacher_correlation, best.best_student
        (tensor([0.9000, 0.8000]), tensor([0, 1]))
        >>> best.student_correlation, best.best_teacher
        (tensor([0.9000, 0.8000, 0.4000]), tensor([0, 1, 1]))
    """
    teacher = correlation.max(dim=-1)
    student = correlation.max(dim=-2)
    return BestCorrelation(teacher.values, teacher.indices, student.values, student.indices)
