"""How specialized a layer is, in one number."""

import torch
from torch import Tensor


def rho_mean(correlation: Tensor, active: Tensor | None = None) -> Tensor:
    """The mean over teacher nodes of their best correlation.

    ρ_mean = mean_j max_k ρ_jk, over the active teacher nodes if some were pruned.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.
        active: Which teacher nodes count, bool, `[m]` or `[..., m]`; all by default.

    Returns:
        `[...]`, in [−1, 1]; higher is closer, 1 means that every teacher node is recovered. Compare it with its null
        level: an untrained student already has 0.2 to 0.6. Cost: one pass over the correlation.

    Raises:
        ValueError: If `active` leaves a layer without teacher nodes.

    Source: the paper's experiments (Tian, ICML 2020); over active teacher nodes only if the teacher was pruned.

    Example:
        >>> correlation = torch.tensor([[0.9, 0.2], [0.3, 0.8]])
        >>> round(rho_mean(correlation).item(), 4)
        0.85
        >>> round(rho_mean(correlation, active=torch.tensor([True, False])).item(), 4)
        0.9
    """
    best = correlation.amax(dim=-1)
    if active is None:
        return best.mean(dim=-1)
    nodes = active.sum(dim=-1)
    if (nodes == 0).any():
        raise ValueError("rho_mean needs at least one active teacher node in every layer, got a mask without any")
    return torch.where(active, best, 0).sum(dim=-1) / nodes
