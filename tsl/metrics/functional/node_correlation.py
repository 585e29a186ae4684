"""Pearson correlation of every teacher node with every student node."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.cross_moments import CrossMoments, constant_nodes, cross_moments
from tsl.metrics.functional.precision import clamp_to_one


def node_correlation(teacher: Tensor, student: Tensor) -> Tensor:
    """Pearson correlation of every teacher node with every student node over the samples.

    ρ_jk = Σ (t_j − t̄_j)(s_k − s̄_k) / √(Σ (t_j − t̄_j)² · Σ (s_k − s̄_k)²), and 0 if either node is constant.

    A node counts as constant if its standard deviation, relative to its mean, is at most 4 machine epsilons of its
    original precision, because such a spread is only rounding. Values within rounding of 1 are returned as 1.

    Args:
        teacher: Post-activation outputs t_j, `[..., samples, m]`.
        student: Post-activation outputs s_k, `[..., samples, n]`.

    Returns:
        `[..., m, n]`, float64, in [−1, 1]. Higher is closer; 1 is the same node up to a positive scale and a shift.
        Cost: one product [m, samples] × [samples, n].

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: the node correlation of the paper's experiments (Tian, ICML 2020).

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
        >>> student = torch.tensor([[1.0, 0.0, 5.0], [3.0, 1.0, 5.0], [5.0, 0.0, 5.0]])
        >>> node_correlation(teacher, student)
        tensor([[ 1.0000,  0.0000,  0.0000],
                [-0.8660, -0.5000,  0.0000]], dtype=torch.float64)
    """
    check_finite(teacher=teacher, student=student)
    return node_correlation_from_moments(cross_moments(teacher, student, full=False))


def node_correlation_from_moments(moments: CrossMoments) -> Tensor:
    """`node_correlation` from the moments of all samples, `[..., m, n]`."""
    check_samples("node correlation", 2, int(moments.samples))
    constant_t, constant_s = constant_nodes(moments)
    norm_t = moments.teacher_scatter.where(~constant_t, 1).sqrt().unsqueeze(-1)
    norm_s = moments.student_scatter.where(~constant_s, 1).sqrt().unsqueeze(-2)
    correlation = clamp_to_one(moments.cross_scatter / norm_t / norm_s)
    # NaN for a node whose scatter is not finite, also in its pairs with constant nodes.
    return torch.where(constant_t.unsqueeze(-1) | constant_s.unsqueeze(-2), 0, correlation) + 0 * (norm_t * norm_s)
