"""Which teacher nodes are matched by some student node."""

from torch import Tensor

from tsl.names import RECOVERED


def recovered(correlation: Tensor, threshold: float = RECOVERED) -> Tensor:
    """Which teacher nodes are recovered: best correlation above a threshold, ρ*_j = max_k ρ_jk > θ.

    The *success rate* of node j is the mean of this over replicates.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.
        threshold: θ, strictly between 0 and 1; the paper's are `tsl.names.THRESHOLDS`.

    Returns:
        `[..., m]` bool; the more nodes are recovered, the closer are the networks. Cost: one pass over the correlation.

    Raises:
        ValueError: If the threshold is not strictly between 0 and 1.

    Source: the paper's released experiments (Tian, ICML 2020), with thresholds from 0.5 to 0.95.

    Example:
        >>> import torch
        >>> recovered(torch.tensor([[0.96, 0.2], [0.3, 0.8]]), 0.95)
        tensor([ True, False])
    """
    check_threshold(threshold)
    return correlation.amax(dim=-1) > threshold


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is not strictly between 0 and 1.

    Raises:
        ValueError: If it is not in this range.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"expected a threshold strictly between 0 and 1, got {threshold}")
