"""The interface of networks, teacher or student.

Letters: R replicates, B inputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

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
