"""Which student nodes are active on both sides of a teacher node's hyperplane."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations, check_finite
from tsl.metrics.functional.blocks import Block, over_replicates


def boundary_observation(teacher: Tensor, student: Tensor) -> Tensor:
    """Number of samples in each student node's active region, on the side of a teacher node's hyperplane with fewer.

    O_jk = min(#{x: t_j > 0, s_k > 0}, #{x: t_j ≤ 0, s_k > 0})

    Args:
        teacher: Post- or pre-activation outputs t_j, `[..., samples, m]`.
        student: Post- or pre-activation outputs s_k, `[..., samples, n]`.

    Returns:
        `[..., m, n]` int64, exact, from 0 to half the number of samples. Higher is better observed. Cost: one float32
        product [m, samples] × [samples, n] of masks.

    Raises:
        ValueError: If the activations cannot be compared or are not finite.

    Source: the paper's definition of observation (Tian, ICML 2020), counted as in its released experiments.

    Example:
        >>> teacher = torch.tensor([[1.0], [2.0], [0.0], [0.0]])
        >>> student = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
        >>> boundary_observation(teacher, student)
        tensor([[1, 0]])
    """
    check_finite(teacher=teacher, student=student)
    return boundary_observation_from_counts(*activity_counts(teacher, student))


def observed(observation: Tensor) -> Tensor:
    """Which teacher nodes are observed by at least one student node: max_k O_jk > 0.

    Args:
        observation: Boundary observation O_jk, `[..., m, n]`.

    Returns:
        `[..., m]` bool.

    Source: the paper's definition of observation (Tian, ICML 2020).

    Example:
        >>> observed(torch.tensor([[0, 3], [0, 0]]))
        tensor([ True, False])
    """
    return observation.amax(dim=-1) > 0


def activity_counts(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Counts of samples: both nodes are active, `[..., m, n]`; the student node is active, `[..., n]`; both int64.

    A node counts as inactive on samples where it is NaN.
    """
    check_activations(teacher, student)
    [counts] = over_replicates(_activity_counts, teacher, student)
    return counts[..., :-1, :], counts[..., -1, :]


def _activity_counts(blocks: Sequence[Block]) -> list[Tensor]:
    """Both counts, by one product of float32 masks, which is exact for a block."""
    counts: list[Tensor] = []
    for t, s in blocks:
        active_t, active_s = (values.sign().clamp_(min=0).float() for values in (t, s))  # faster than comparing
        block = (torch.nn.functional.pad(active_t, (0, 1), value=1).mT @ active_s).long()
        counts = [counts[0].add_(block)] if counts else [block]
    return counts


def boundary_observation_from_counts(both: Tensor, active: Tensor) -> Tensor:
    """`boundary_observation` from the counts of all samples, `[..., m, n]`."""
    return torch.minimum(both, active.unsqueeze(-2) - both)
