"""Soft committee machines: two-layer networks whose output weights are all the same."""

from collections.abc import Sequence
from typing import Literal

import torch
from jsonargparse.typing import PositiveFloat
from torch import Generator, Tensor

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward
from tsl.networks.initialization import MLP_ALONE, Initialization, reset_norms
from tsl.networks.mlp import as_mlp
from tsl.networks.network import Network
from tsl.replicates import PerReplicate, per_replicate


class CommitteeInitialization(Initialization):
    """Random lowest weights, one value for all output weights, no biases: the teachers of Saad & Solla 1995.

    For a student, freeze the output weights with `model.init_args.trained_layers: [1]`.

    Args:
        norm: Length of a lowest weight vector (exact if `orthogonal`, otherwise in the mean square), or a list of them
            that repeats along the replicates. With inputs of standard deviation 1 its square is Q_kk or T_nn.
        orthogonal: Draw the vectors of a network at right angles, in a random direction (T is then norm² times the
            identity); else each weight from N(0, norm²/d).
        readout: Every output weight, or "mean" for 1/K in a network of K nodes.
    """

    def __init__(
        self,
        norm: PerReplicate[PositiveFloat] = 1.0,
        orthogonal: bool = False,
        readout: float | Literal["mean"] = 1.0,
    ) -> None:
        self.norm = norm
        self.orthogonal = orthogonal
        self.readout = readout

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If the network is not an MLP with one hidden layer, or has more nodes than inputs and
                `orthogonal` is set.
        """
        network = as_mlp(network, *MLP_ALONE)
        if len(network.widths) != 1:
            raise InputError(
                f"tsl.networks.CommitteeInitialization is for one hidden layer: the network has widths {network.widths}"
            )
        (nodes,), dim = network.widths, network.input_dim
        if self.orthogonal and nodes > dim:
            raise InputError(
                f"tsl.networks.CommitteeInitialization: {nodes} vectors of {dim} inputs cannot all be at right angles: "
                "use fewer widths, a larger input_dim, or orthogonal: false"
            )
        norms = per_replicate(self.norm, len(generators), "norm of tsl.networks.CommitteeInitialization")
        rows = torch.stack([self._rows(nodes, dim, generator) for generator in generators])
        lowest, output = network.layers
        lowest.weight.copy_(rows * torch.tensor(norms, dtype=torch.float64)[:, None, None])
        output.weight.fill_(1 / nodes if self.readout == "mean" else self.readout)
        for layer in network.layers:
            if layer.bias is not None:
                layer.bias.zero_()
        reset_norms(network)

    def _rows(self, nodes: int, dim: int, generator: Generator) -> Tensor:
        """Vectors of norm 1, exactly or in the mean square, `[nodes, dim]` float64."""
        normal = torch.randn(nodes, dim, generator=generator, dtype=torch.float64, device="cpu")
        if not self.orthogonal:
            return normal / dim**0.5
        q, r = torch.linalg.qr(normal.mT)
        return (q * r.diagonal().sign()).mT  # with these signs uniform over all orthogonal frames (Mezzadri 2007)
