"""The interface of networks, teacher or student.

Letters: R replicates, B inputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn


class Activations(NamedTuple):
    """The output and the hidden activations of a network, layers in order from the input.

    A layer's nodes are `[R, B, nodes]`, or maps `[R, B, channels, height, width]` in which every channel is a node.

    Attributes:
        pre: Pre-activations of each hidden layer, to which the activation is applied; normalized if BatchNorm comes
            before it.
        post: Post-activation outputs of each hidden layer, the next layer's inputs before dropout; normalized if
            BatchNorm comes after the activation.
        output: The network's output, `[R, B, outputs]`.
    """

    pre: list[Tensor]
    post: list[Tensor]
    output: Tensor


class Network(nn.Module, ABC):
    """R independent networks of one shape, whose hidden layers can be watched.

    Attributes:
        replicates: Number R of networks.
        input_shape: Shape of an input.
        widths: Nodes of every hidden layer, from the input upward.
        map_sizes: Height and width of every hidden layer's maps; () if its nodes are not channels.
        output_dim: Number of outputs.
    """

    replicates: int
    input_shape: list[int]
    widths: list[int]
    map_sizes: list[tuple[int, ...]]
    output_dim: int

    @property
    def layer_names(self) -> list[str]:
        """The names of the hidden layers: their numbers, counted from 1, unless they have names of their own."""
        return [str(layer) for layer in range(1, len(self.widths) + 1)]

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether inputs may have this shape."""
        return list(shape) == self.input_shape

    @abstractmethod
    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, ...]`."""

    @abstractmethod
    def active_nodes(self) -> list[Tensor]:
        """Which nodes of every hidden layer have an outgoing weight that is not 0, bool, each `[R, nodes]`.

        The others were pruned: nothing depends on their outputs.
        """

    @abstractmethod
    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """E_x β_kk of every hidden layer over a batch, each `[R, nodes]`; NaN if it is not known.

        Args:
            activations: The network's activations in evaluation mode.
            probes: CPU generator of the random numbers of an estimate; all replicates share it.
        """

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, ...]`."""
        return self.activations(inputs).output


class TrainableNetwork(Network):
    """A network that can be trained, and evaluated beside its teacher.

    Attributes:
        batch_norm: A truthy value if the network has BatchNorm.
        is_random: Whether its training passes draw random numbers, so that `seed_dropout` has to be called before.
    """

    batch_norm: object
    is_random: bool

    @abstractmethod
    def lowest_error(self, activations: Activations, error: Tensor) -> Tensor:
        """g_1(x) = D_1(x) V_1(x)ᵀ (f°(x) − f(x)): the error at the lowest layer's pre-activations, before averaging.

        Args:
            activations: The network's activations in evaluation mode.
            error: f°(x) − f(x), `[R, B, outputs]`.

        Returns:
            A tensor of the shape of the pre-activations, with fewer inputs if a network uses only some; NaN if it is
            not known.
        """

    @abstractmethod
    def seed_dropout(self, generators: Sequence[Generator]) -> None:
        """Restart the random numbers of training, those of replicate r from `generators[r]` alone."""

    def errors(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The quantities for the losses of an evaluation, without storing any layer's activations.

        Args:
            inputs: `[R, B, ...]`, for a network in evaluation mode.
            targets: The teacher's outputs f°(x), `[R, B, outputs]`.

        Returns:
            f(x) and f°(x) − f(x), both `[R, B, outputs]`, and g_1(x), as returned by `lowest_error`.
        """
        activations = self.activations(inputs)
        error = targets - activations.output
        return activations.output, error, self.lowest_error(activations, error)


def without_strengths(network: Network, activations: Activations) -> list[Tensor]:
    """`Network.squared_strengths` of a network whose strengths are not known: NaN for every node, each `[R, nodes]`."""
    return [post.new_full((network.replicates, post.shape[2]), torch.nan) for post in activations.post]


def all_active(network: Network) -> list[Tensor]:
    """`Network.active_nodes` of a network in which no node counts as pruned: True, each `[R, nodes]`."""
    device = next(network.parameters(), torch.empty(0)).device
    return [torch.ones(network.replicates, width, dtype=torch.bool, device=device) for width in network.widths]
