"""Initial weights of deep networks: the paper's deep teacher, and PyTorch's default for its student."""

from collections.abc import Sequence

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Generator, Tensor

from tsl.networks.feed_forward import FeedForward
from tsl.networks.initialization import MLP_ALONE, POLARITY, Initialization, reset_norms, separable_rows
from tsl.networks.mlp import as_mlp
from tsl.networks.network import Network
from tsl.networks.rows import row_shape, set_rows
from tsl.replicates import PerReplicate, per_replicate


class DeepSeparableInitialization(Initialization):
    """The paper's deep teacher: separable weights in every layer including the output, and nodes of unit norm.

    A layer's weight vectors are drawn uniformly from {−1, −.75, …, .75, 1}^in, no two in the same direction and none
    zero, and its biases from U(−½, ½). Polarity p holds in every hidden layer: the fan-out of its node j, a column of
    the weights above it, is divided by jᵖ. After that every row of weights and its bias are divided by the norm of the
    weights alone. (As in the deeper experiments of the paper's released code, which then apply
    `tsl.networks.condition`.)

    Args:
        polarity: The exponent p, or a list of them that repeats along the replicates.
    """

    def __init__(self, polarity: PerReplicate[NonNegativeFloat] = 0.0) -> None:
        self.polarity = polarity

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If the network is not an MLP.
        """
        network = as_mlp(network, *MLP_ALONE)
        polarity = torch.tensor(per_replicate(self.polarity, len(generators), POLARITY), dtype=torch.float64)
        for number, layer in enumerate(network.layers):
            _, nodes, below = layer.weight.shape
            rows = torch.stack([separable_rows(nodes, below, g) for g in generators])
            if number > 0:  # inputs are not nodes
                node = torch.arange(1, below + 1, dtype=torch.float64, device="cpu")
                rows = rows * node ** -polarity[:, None, None]
            if layer.bias is not None:
                bias = [torch.rand(nodes, 1, generator=g, dtype=torch.float64, device="cpu") - 0.5 for g in generators]
                rows = torch.cat([rows, torch.stack(bias)], dim=-1)
            set_rows(layer, rows / rows[..., :below].norm(dim=-1, keepdim=True))
        reset_norms(network)


class DefaultInitialization(Initialization):
    """PyTorch's default for `Linear` and `Conv2d`: weights and biases from U(±1/√in). The paper's deep students.

    `in` is the number of a node's incoming weights; for a convolution, input channels times entries of a kernel.
    """

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class."""
        for layer in network.layers:
            set_rows(layer, default_rows(*row_shape(layer), generators))
        reset_norms(network)


def default_rows(nodes: int, below: int, generators: Sequence[Generator]) -> Tensor:
    """Weights and, as last column, biases from U(±1/√below), `[R, nodes, below + 1]` float64."""
    shape = nodes, below + 1
    uniform = [torch.rand(shape, generator=g, dtype=torch.float64, device="cpu") for g in generators]
    return (2 * torch.stack(uniform) - 1) / below**0.5
