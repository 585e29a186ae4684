"""How many student nodes match a teacher node."""

from torch import Tensor

from tsl.metrics.functional.recovered import check_threshold
from tsl.names import RECOVERED


def match_count(correlation: Tensor, threshold: float = RECOVERED) -> Tensor:
    """How many student nodes correlate with each teacher node above a threshold: #{k: ρ_jk > θ}.

    A student node above the threshold with two teacher nodes counts for both; `redundancy` counts it once.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.
        threshold: θ, strictly between 0 and 1; the paper's are `tsl.names.THRESHOLDS`.

    Returns:
        `[..., m]` int64, from 0 to n. Cost: one pass over the correlation.

    Raises:
        ValueError: If the threshold is not strictly between 0 and 1.

    Source: the paper's released experiments (Tian, ICML 2020).

    Example:
        >>> import torch
        >>> match_count(torch.tensor([[0.96, 0.97, 0.1], [0.3, 0.8, 0.2]]), 0.95)
        tensor([2, 0])
    """
    check_threshold(threshold)
    return (correlation > threshold).sum(dim=-1)
