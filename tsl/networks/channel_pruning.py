"""Prune a teacher: mask the nodes with the smallest outgoing weights, keep the masks in training, remove the nodes.

A node is pruned when all its outgoing weights are 0. Nothing then depends on its output, so neither BatchNorm nor
padding can make it active again. Letters: R replicates, n nodes of one hidden layer. A node of a convolution is a
channel; its outgoing weights are all kernel entries, or all weights of the linear layer, that multiply its outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward
from tsl.networks.pruning import outgoing_weights, without_nodes


def outgoing_magnitudes(network: FeedForward) -> list[Tensor]:
    """The mean magnitude of every node's outgoing weights, for each hidden layer, `[R, n]`."""
    hidden_layers = range(len(network.widths))
    return [outgoing_weights(network, hidden).detach().abs().mean(dim=(1, 3)) for hidden in hidden_layers]


def strongest_nodes(network: FeedForward, ratios: Sequence[float]) -> list[Tensor]:
    """Which nodes of every hidden layer are left after pruning those with the smallest outgoing magnitude.

    Args:
        network: The network.
        ratios: The fraction of its nodes that each hidden layer loses, rounded down to whole nodes as in the
            paper's released experiments.

    Returns:
        For each hidden layer, bool `[R, n]`; every replicate loses its own weakest nodes.

    Raises:
        InputError: If there is not one ratio for each layer, or a ratio is below 0 or would remove all nodes.
    """
    if len(ratios) != len(network.widths):
        raise InputError(
            f"--ratios gives {len(ratios)} numbers for {len(network.widths)} hidden layers: give one for each layer, "
            "from the input upward"
        )
    kept = []
    for ratio, nodes, magnitude in zip(ratios, network.widths, outgoing_magnitudes(network), strict=True):
        removed = int(ratio * nodes + 1e-9) if 0 <= ratio < 1 else nodes  # 0.29 × 100 is 28.999…
        if removed >= nodes:
            raise InputError(
                f"--ratios {ratio:g}: at least one of a layer's {nodes} nodes has to stay; give a fraction from 0 to "
                "below 1"
            )
        order = magnitude.argsort(dim=1, stable=True)
        kept.append(torch.ones_like(magnitude, dtype=torch.bool).scatter(1, order[:, :removed], False))
    return kept


class KeptNodes(nn.Module):
    """Masks that keep a network's pruned nodes pruned during training.

    Args:
        kept: Which nodes of every hidden layer are not pruned, bool, each `[R, n]`.
    """

    def __init__(self, kept: Sequence[Tensor]) -> None:
        super().__init__()
        self.pruned_layers = [hidden for hidden, of_layer in enumerate(kept) if not of_layer.all()]
        for hidden in self.pruned_layers:
            self.register_buffer(f"pruned_{hidden}", ~kept[hidden], persistent=False)

    @torch.no_grad()
    def mask_(self, network: FeedForward) -> None:
        """Set the outgoing weights of pruned nodes to 0, in place."""
        for hidden in self.pruned_layers:
            weight = network.layers[hidden + 1].weight  # [R, out, n, kernel…], or [R, out, n · positions]
            pruned = self.get_buffer(f"pruned_{hidden}")
            pruned = pruned.repeat_interleave(weight.shape[2] // pruned.shape[1], dim=1)
            weight.masked_fill_(pruned.view(len(pruned), 1, -1, *[1] * (weight.ndim - 3)), 0)


def compacted(network: FeedForward) -> FeedForward:
    """A copy of a network without its pruned nodes. It computes the same, up to rounding.

    Replicates share one shape, so a replicate with fewer active nodes than another keeps some of its pruned nodes.
    """
    for hidden, active in enumerate(network.active_nodes()):
        count = max(int(active.sum(dim=1).max()), 1)
        keep = active.int().argsort(dim=1, descending=True, stable=True)[:, :count].sort(dim=1).values
        network = without_nodes(network, hidden, keep, torch.zeros_like(active, dtype=torch.float64))
    return network
