"""How many more student nodes match the strongest teacher node than the next."""

from torch import Tensor

from tsl.metrics.functional.match_count import match_count


def competition(correlation: Tensor, threshold: float = 0.9) -> Tensor:
    """The number of student nodes that match teacher node 1, divided by the number that match teacher node 2.

    #{k: ρ_1k > θ} / #{k: ρ_2k > θ}; infinite if only the second count is 0, NaN if both are. With few nodes the mean of
    such ratios is a poor summary: for many replicates take the ratio of the mean `match_count`s.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`, teacher nodes in the order of their strength.
        threshold: θ, strictly between 0 and 1.

    Returns:
        `[...]`, from 0 to n, or inf, or NaN. Above 1 if more student nodes match the stronger node. Cost: one pass over
        two rows of the correlation.

    Raises:
        ValueError: If there are fewer than 2 teacher nodes, or the threshold is not strictly between 0 and 1.

    Source: the paper's figures (Tian, ICML 2020): about 1.4, 2.0, 2.6, 3.2 for polarities .5, 1, 1.5, 2.

    Example:
        >>> import torch
        >>> competition(torch.tensor([[0.95, 0.96, 0.2], [0.1, 0.3, 0.99]]))
        tensor(2.)
    """
    if correlation.shape[-2] < 2:
        raise ValueError(f"competition needs at least 2 teacher nodes, got {correlation.shape[-2]}")
    count = match_count(correlation[..., :2, :], threshold)
    return count[..., 0] / count[..., 1]
