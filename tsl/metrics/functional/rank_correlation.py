"""Spearman's rank correlation of every teacher node with every student node."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations, check_finite, check_samples
from tsl.metrics.functional.cross_moments import constant_nodes, cross_moments
from tsl.metrics.functional.node_correlation import node_correlation
from tsl.metrics.functional.precision import accumulation_dtype


def rank_correlation(teacher: Tensor, student: Tensor) -> Tensor:
    """Spearman's correlation of every teacher node with every student node: Pearson's correlation of their ranks.

    Tied samples get the mean of their ranks: all samples on which a ReLU node is inactive are tied. The value is 0 if
    either node is constant, as `node_correlation` defines it. Ranks need all samples at once, so it does not stream.

    Args:
        teacher: Post-activation outputs t_j, `[..., samples, m]`.
        student: Post-activation outputs s_k, `[..., samples, n]`.

    Returns:
        `[..., m, n]`, float64, in [−1, 1]. Higher is closer; 1 is the same node up to an increasing function. Cost: a
        sort of every node, beside that of `node_correlation`.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Spearman 1904; ties as in `scipy.stats.spearmanr`.

    Example:
        >>> teacher = torch.tensor([[0.0], [1.0], [2.0], [0.0]])
        >>> student = torch.tensor([[0.0, 2.0], [1.0, 1.0], [9.0, 3.0], [0.0, 0.0]])
        >>> rank_correlation(teacher, student)
        tensor([[1.0000, 0.6325]], dtype=torch.float64)
    """
    check_activations(teacher, student)
    check_finite(teacher=teacher, student=student)
    resolution = max(torch.finfo(teacher.dtype).eps, torch.finfo(student.dtype).eps)
    return rank_correlation_at(teacher, student, resolution)


def rank_correlation_at(teacher: Tensor, student: Tensor, resolution: float) -> Tensor:
    """`rank_correlation` of activations whose original precision had the machine epsilon `resolution`."""
    check_samples("rank correlation", 2, teacher.shape[-2])
    moments = cross_moments(teacher, student, full=False)
    constant_t, constant_s = constant_nodes(moments._replace(resolution=torch.as_tensor(resolution)))
    correlation = node_correlation(ranks(teacher), ranks(student))
    undefined = 0 * (moments.teacher_scatter.unsqueeze(-1) + moments.student_scatter.unsqueeze(-2))  # ranks hide NaN
    return torch.where(constant_t.unsqueeze(-1) | constant_s.unsqueeze(-2), 0, correlation) + undefined


def ranks(activations: Tensor) -> Tensor:
    """Ranks, from 0, of every node's activations over the samples; tied samples get the mean of their ranks.

    Args:
        activations: `[..., samples, nodes]`.

    Returns:
        The same shape, float64.

    Example:
        >>> ranks(torch.tensor([[0.0], [5.0], [0.0], [2.0]])).T
        tensor([[0.5000, 3.0000, 0.5000, 2.0000]], dtype=torch.float64)
    """
    ordered, order = activations.mT.contiguous().sort(dim=-1)
    position = torch.arange(ordered.shape[-1], device=ordered.device).expand_as(ordered)
    starts = torch.ones_like(ordered, dtype=torch.bool)  # a run of ties starts here
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    ends = torch.ones_like(starts)
    ends[..., :-1] = starts[..., 1:]
    first = position.where(starts, 0).cummax(dim=-1).values
    last = position.where(ends, ordered.shape[-1]).flip(-1).cummin(dim=-1).values.flip(-1)
    rank = (first + last).to(accumulation_dtype(ordered.device)) / 2
    return torch.empty_like(rank).scatter_(-1, order, rank).mT
