"""What tsl asks of a network, be it a teacher or a student.

Letters: R replicates, B inputs.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Activations(NamedTuple):
    """Everything a network computes on its way, hidden layers in order from the input.

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
        widths: Nodes of every hidden layer, from the input upward.
        output_dim: Number of outputs.
    """

    replicates: int
    widths: list[int]
    output_dim: int

    @abstractmethod
    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, ...]`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, ...]`."""
        return self.activations(inputs).output
