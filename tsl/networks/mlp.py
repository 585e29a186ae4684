"""Multi-layer perceptrons with a leading replicate axis."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any, Literal

from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.effective import effective_layers, squared_strengths
from tsl.networks.feed_forward import FeedForward, ReplicatedLinear
from tsl.networks.network import Activations
from tsl.theory.activation import ActivationName
from tsl.theory.gradient_rule import backpropagated_error


class MLP(FeedForward):
    """R independent fully connected networks of one shape.

    Inputs `[R, B, d]` may have any shape of d numbers, `[R, B, C, H, W]` for images: they are flattened.

    Args:
        replicates: Number R of independent networks.
        input_dim: Dimension d of the inputs.
        widths: Nodes of each hidden layer, from the input upward.
        output_dim: Number of outputs.
        bias: Whether every layer has a bias.
        activation: Activation of the hidden nodes: relu, erf (of x/√2), tanh, sigmoid, quadratic or linear.
        negative_slope: Slope of relu below zero, up to 1; more than 0 is leaky ReLU.
        batch_norm: Whether every hidden layer has a BatchNorm, before or after its activation.
        batch_norm_affine: Whether each has a trained scale and shift.
        dropout: Probability, below 1, with which a hidden node's output is 0 for a training sample; the others are
            scaled up by 1 / (1 − dropout). In evaluation mode nothing is dropped.

    Raises:
        InputError: If there is no hidden layer, a slope is out of range or not of relu, or dropout would leave no node.

    The weights are uninitialized; an `Initialization` fills them.
    """

    def __init__(
        self,
        replicates: PositiveInt = 1,
        *,
        input_dim: PositiveInt,
        widths: list[PositiveInt],
        output_dim: PositiveInt,
        bias: bool = True,
        activation: ActivationName = "relu",
        negative_slope: ClosedUnitInterval = 0.0,
        batch_norm: Literal["before", "after"] | None = None,
        batch_norm_affine: bool = True,
        dropout: ClosedUnitInterval = 0.0,
    ) -> None:
        super().__init__(
            [
                ReplicatedLinear(replicates, fan_in, fan_out, bias)
                for fan_in, fan_out in pairwise([input_dim, *widths, output_dim])
            ],
            widths,
            activation=activation,
            negative_slope=negative_slope,
            batch_norm=batch_norm,
            batch_norm_affine=batch_norm_affine,
            dropout=dropout,
        )
        self.input_dim = input_dim
        self.input_shape = [input_dim]
        self.map_sizes = [()] * len(widths)

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether the shape has `input_dim` numbers."""
        return prod(shape) == self.input_dim

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """Exact, by `tsl.networks.squared_strengths`; see the base class."""
        return squared_strengths(self, activations)

    def lowest_error(self, activations: Activations, error: Tensor) -> Tensor:
        """g_1 of all inputs, `[R, B, nodes]`; see the base class."""
        gates = [self.activation.gate(pre) for pre in activations.pre]
        return backpropagated_error([weight for weight, _ in effective_layers(self)], gates, error)

    @property
    def init_args(self) -> dict[str, Any]:
        """The constructor's arguments, except `replicates`."""
        return {
            "input_dim": self.input_dim,
            "widths": self.widths,
            "output_dim": self.output_dim,
            "bias": self.bias,
            "activation": self.activation.name,
            "negative_slope": self.negative_slope,
            "batch_norm": self.batch_norm,
            "batch_norm_affine": self.batch_norm_affine,
            "dropout": self.dropout,
        }


def as_mlp(network: nn.Module, purpose: str, remedy: str) -> MLP:
    """Return the network, which must be an MLP.

    Raises:
        InputError: If it is not an MLP; the message says that `purpose` is for MLPs, and gives the `remedy`.
    """
    if not isinstance(network, MLP):
        raise InputError(f"{purpose} is for tsl.networks.MLP, not for {type(network).__name__}: {remedy}")
    return network
