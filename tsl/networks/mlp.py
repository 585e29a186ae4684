"""Multi-layer perceptrons with a leading replicate axis.

Letters: R replicates, B inputs, d input dimension. Replicate r of every weight meets replicate r of the inputs only, so
one forward pass trains or evaluates R independent networks.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from tsl.errors import InputError


class Activations(NamedTuple):
    """Everything a network computes on its way, hidden layers in order from the input.

    Attributes:
        pre: Pre-activations of each hidden layer, `[R, B, nodes]`.
        post: Post-activation outputs of each hidden layer, `[R, B, nodes]`.
        output: The network's output, `[R, B, outputs]`.
    """

    pre: list[Tensor]
    post: list[Tensor]
    output: Tensor


class ReplicatedLinear(nn.Module):
    """R independent affine maps, `x[r] @ weight[r].T + bias[r]`.

    Attributes:
        weight: `[R, out, in]`.
        bias: `[R, out]`, or None.

    The parameters are uninitialized; an `Initialization` fills them.
    """

    def __init__(self, replicates: int, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        # Laid out in memory as [R, in, out]: the gradient of x @ weight.mT then arrives in the parameter's own layout,
        # which saves autograd a transposing copy in every step.
        self.weight = nn.Parameter(torch.empty(replicates, in_features, out_features).mT)
        self.bias = nn.Parameter(torch.empty(replicates, out_features)) if bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `[R, B, in]` to `[R, B, out]`."""
        if self.bias is None:
            return torch.bmm(inputs, self.weight.mT)
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight.mT)


class MLP(nn.Module):
    """R independent fully connected ReLU or leaky-ReLU networks of one shape.

    Args:
        replicates: Number R of independent networks.
        input_dim: Dimension d of the inputs.
        widths: Nodes of each hidden layer, from the input upward.
        output_dim: Number of outputs.
        bias: Whether every layer has a bias.
        negative_slope: Slope of the activation below zero: 0 is ReLU, more is leaky ReLU.

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
        negative_slope: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("widths is empty: a teacher and its student need at least one hidden layer")
        self.replicates = replicates
        self.input_dim = input_dim
        self.widths = list(widths)
        self.output_dim = output_dim
        self.bias = bias
        self.negative_slope = negative_slope
        sizes = [input_dim, *widths, output_dim]
        self.layers: Sequence[ReplicatedLinear] = nn.ModuleList(  # type: ignore[assignment]
            ReplicatedLinear(replicates, fan_in, fan_out, bias) for fan_in, fan_out in pairwise(sizes)
        )

    def widened(self, multiplier: float) -> "MLP":
        """A network of the same shape with `multiplier` times the nodes in every hidden layer, uninitialized.

        Raises:
            InputError: If a layer would not have a whole, positive number of nodes.
        """
        widths = [multiplier * width for width in self.widths]
        if any(width < 1 or abs(width - round(width)) > 1e-9 for width in widths):
            raise InputError(
                f"model.init_args.multiplier = {multiplier:g} gives the student hidden layers of "
                f"{', '.join(f'{width:g}' for width in widths)} nodes: choose one that gives whole numbers "
                f"for the teacher's {self.widths}"
            )
        return self.with_widths([round(width) for width in widths])

    def with_widths(self, widths: list[int]) -> "MLP":
        """A network that differs in the nodes of its hidden layers alone, uninitialized."""
        return MLP(
            self.replicates,
            input_dim=self.input_dim,
            widths=widths,
            output_dim=self.output_dim,
            bias=self.bias,
            negative_slope=self.negative_slope,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, d]`."""
        return self.activations(inputs).output

    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, d]`."""
        pre: list[Tensor] = []
        post: list[Tensor] = []
        signal = inputs
        for layer in self.layers[:-1]:
            pre.append(layer(signal))
            signal = self._activation(pre[-1])
            post.append(signal)
        return Activations(pre, post, self.layers[-1](signal))

    def _activation(self, pre: Tensor) -> Tensor:
        if self.negative_slope:
            return nn.functional.leaky_relu(pre, self.negative_slope)
        return pre.relu()
