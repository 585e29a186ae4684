"""How many student nodes share a teacher node."""

import torch
from torch import Tensor

from tsl.metrics.functional.recovered import check_threshold
from tsl.names import RECOVERED


def redundancy(correlation: Tensor, threshold: float = RECOVERED) -> Tensor:
    """How many student nodes have each teacher node as their best partner, with a correlation above a threshold.

    #{k: j = argmax_j' ρ_j'k and ρ_jk > θ}. Every student node counts for at most one teacher node, even if several are
    equally good; `match_count` counts it for every teacher node above the threshold.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.
        threshold: θ, strictly between 0 and 1; the paper's are `tsl.names.THRESHOLDS`.

    Returns:
        `[..., m]` int64, from 0 to n, at most n in sum. 1 is a student without redundancy. Cost: two passes over the
        correlation.

    Raises:
        ValueError: If the threshold is not strictly between 0 and 1.

    Example:
        >>> redundancy(torch.tensor([[0.9, 0.7, 0.1], [0.3, 0.8, 0.2]]), 0.6)
        tensor([1, 1])
    """
    check_threshold(threshold)
    best = correlation.max(dim=-2, keepdim=True)
    node = torch.arange(correlation.shape[-2], device=correlation.device).unsqueeze(-1)
    return ((best.indices == node) & (best.values > threshold)).sum(dim=-1)
