"""How many nodes of a layer never change."""

from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples


def dead_node_fraction(activations: Tensor) -> Tensor:
    """The fraction of nodes whose output is the same on every sample: for ReLU nodes, those that are never active.

    #{k: max_x s_k = min_x s_k} / n

    Args:
        activations: Post-activation outputs of one layer, `[..., samples, nodes]`.

    Returns:
        `[...]` float32, in [0, 1]; lower is better. Cost: two passes over the activations.

    Raises:
        ValueError: If there are no samples, or activations that are not finite.

    Example:
        >>> import torch
        >>> dead_node_fraction(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
        tensor(0.3333)
    """
    check_samples("dead-node fraction", 1, activations.shape[-2])
    check_finite(layer=activations)
    return (activations.amin(dim=-2) == activations.amax(dim=-2)).float().mean(dim=-1)
