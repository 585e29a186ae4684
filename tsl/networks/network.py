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

    A layer's nodes are `[R, B, nodes]`, or maps `[R, B, channels, height, width]` of which every channel is a node.

    Attributes:
        pre: Pre-activations of each hidden layer: what the activation is applied to, so normalized where BatchNorm
            comes before it.
        post: Post-activation outputs of each hidden layer: what the next layer sees, but for dropout, so normalized
            where BatchNorm comes after the activation.
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
        map_sizes: Height and width of every hidden layer's maps; () where its nodes are no channels.
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
        """Whether inputs may have a shape."""
        return list(shape) == self.input_shape

    @abstractmethod
    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, ...]`."""

    @abstractmethod
    def active_nodes(self) -> list[Tensor]:
        """Which nodes of every hidden layer reach the layer above by a weight that is not 0, bool, each `[R, nodes]`.

        The others were pruned: whatever they compute, nothing depends on it.
        """

    @abstractmethod
    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """E_x β_kk of every hidden layer over a batch, each `[R, nodes]`, NaN where a network does not give it.

        Args:
            activations: The network's, in evaluation mode.
            probes: CPU generator of what an estimate draws; all replicates share it.
        """

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, ...]`."""
        return self.activations(inputs).output


class TrainableNetwork(Network):
    """A network that can be trained, and evaluated beside its teacher.

    Attributes:
        batch_norm: What is truthy where it has BatchNorm.
        is_random: Whether its passes in training draw random numbers, so that `seed_dropout` has to be called before.
    """

    batch_norm: object
    is_random: bool

    @abstractmethod
    def lowest_error(self, activations: Activations, error: Tensor) -> Tensor:
        """g_1(x) = D_1(x) V_1(x)ᵀ (f°(x) − f(x)): the error at the lowest layer's pre-activations, before averaging.

        Args:
            activations: The network's, in evaluation mode.
            error: f°(x) − f(x), `[R, B, outputs]`.

        Returns:
            Of the shape of the pre-activations, but for the number of inputs where a network takes only some; NaN where
            a network does not give it.
        """

    @abstractmethod
    def seed_dropout(self, generators: Sequence[Generator]) -> None:
        """Restart what training draws at random, replicate r's from `generators[r]` alone."""

    def errors(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The quantities for the losses of an evaluation, for inputs `[R, B, ...]`; keeps no layer's activations.

        Args:
            inputs: `[R, B, ...]`, for a network in evaluation mode.
            targets: The teacher's outputs f°(x), `[R, B, outputs]`.

        Returns:
            f(x) and f°(x) − f(x), both `[R, B, outputs]`, and g_1(x), as `lowest_error` gives it.
        """
        activations = self.activations(inputs)
        error = targets - activations.output
        return activations.output, error, self.lowest_error(activations, error)


def without_strengths(network: Network, activations: Activations) -> list[Tensor]:
    """`Network.squared_strengths` of a network that gives none: NaN for every node, each `[R, nodes]`."""
    return [post.new_full((network.replicates, post.shape[2]), torch.nan) for post in activations.post]


def all_active(network: Network) -> list[Tensor]:
    """`Network.active_nodes` of a network in which no node counts as pruned: True, each `[R, nodes]`."""
    device = next(network.parameters(), torch.empty(0)).device
    return [torch.ones(network.replicates, width, dtype=torch.bool, device=device) for width in network.widths]
