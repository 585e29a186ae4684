"""Multi-layer perceptrons with a leading replicate axis.

Letters: R replicates, B inputs, d input dimension. Replicate r of every weight meets replicate r of the inputs only, so
one forward pass trains or evaluates R independent networks.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.batch_norm import ReplicatedBatchNorm


class Activations(NamedTuple):
    """Everything a network computes on its way, hidden layers in order from the input.

    Attributes:
        pre: Pre-activations of each hidden layer, `[R, B, nodes]`: what the activation is applied to, so normalized
            where BatchNorm comes before it.
        post: Post-activation outputs of each hidden layer, `[R, B, nodes]`: what the next layer sees, but for dropout,
            so normalized where BatchNorm comes after the activation.
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
        negative_slope: Slope of the activation below zero, up to 1: 0 is ReLU, more is leaky ReLU.
        batch_norm: Whether every hidden layer has a BatchNorm, before or after its activation.
        batch_norm_affine: Whether each has a trained scale and shift.
        dropout: Probability, below 1, with which a hidden node's output is 0 for a training sample; the others are
            scaled up by 1 / (1 − dropout). In evaluation mode nothing is dropped.

    Raises:
        InputError: If there is no hidden layer, a slope is out of range, or dropout would leave no node.

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
        negative_slope: ClosedUnitInterval = 0.0,
        batch_norm: Literal["before", "after"] | None = None,
        batch_norm_affine: bool = True,
        dropout: ClosedUnitInterval = 0.0,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("widths is empty: a teacher and its student need at least one hidden layer")
        if not 0 <= negative_slope <= 1:
            raise InputError(f"negative_slope = {negative_slope:g}: give a slope from 0 to 1")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout = {dropout:g}: give a probability from 0 to below 1, or no node is left")
        self.replicates = replicates
        self.input_dim = input_dim
        self.widths = list(widths)
        self.output_dim = output_dim
        self.bias = bias
        self.negative_slope = negative_slope
        self.batch_norm = batch_norm
        self.batch_norm_affine = batch_norm_affine
        self.dropout = dropout
        sizes = [input_dim, *widths, output_dim]
        self.layers: Sequence[ReplicatedLinear] = nn.ModuleList(  # type: ignore[assignment]
            ReplicatedLinear(replicates, fan_in, fan_out, bias) for fan_in, fan_out in pairwise(sizes)
        )
        normalized = widths if batch_norm else []
        self.norms: Sequence[ReplicatedBatchNorm] = nn.ModuleList(  # type: ignore[assignment]
            ReplicatedBatchNorm(replicates, nodes, batch_norm_affine) for nodes in normalized
        )
        self._dropout_generators: list[Generator] | None = None

    def widened(self, multiplier: float, **changes: Any) -> "MLP":
        """A network of the same kind with `multiplier` times the nodes in every hidden layer, uninitialized.

        Args:
            multiplier: Nodes for each of this network's.
            changes: Arguments of `MLP` in which the new network differs, such as `negative_slope`.

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
        return self.with_widths([round(width) for width in widths], **changes)

    def with_widths(self, widths: list[int], **changes: Any) -> "MLP":
        """A network that differs in the nodes of its hidden layers and in `changes` alone, uninitialized."""
        return MLP(self.replicates, **(self.init_args | {"widths": widths} | changes))

    @property
    def init_args(self) -> dict[str, Any]:
        """The arguments it was made with, but for `replicates`."""
        return {
            "input_dim": self.input_dim,
            "widths": self.widths,
            "output_dim": self.output_dim,
            "bias": self.bias,
            "negative_slope": self.negative_slope,
            "batch_norm": self.batch_norm,
            "batch_norm_affine": self.batch_norm_affine,
            "dropout": self.dropout,
        }

    def seed_dropout(self, generators: Sequence[Generator]) -> None:
        """Start the dropout masks anew, replicate r's from `generators[r]` alone.

        To be called at the start of every training epoch with generators of that epoch, so that a resumed run drops the
        same nodes. Masks are drawn on the network's own device, by a generator that starts from the seed given.
        """
        device = self.layers[0].weight.device
        self._dropout_generators = [Generator(device).manual_seed(given.initial_seed()) for given in generators]

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, d]`."""
        return self.activations(inputs).output

    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, d]`.

        Raises:
            InputError: In training mode, if dropout has not been seeded or BatchNorm gets a single sample.
        """
        pre: list[Tensor] = []
        post: list[Tensor] = []
        signal = inputs
        *hidden, output = self.layers
        for number, layer in enumerate(hidden):
            signal = layer(signal)
            if self.batch_norm == "before":
                signal = self.norms[number](signal)
            pre.append(signal)
            signal = self.activation(signal)
            if self.batch_norm == "after":
                signal = self.norms[number](signal)
            post.append(signal)
            if self.dropout and self.training:
                signal = signal * self._dropout_mask(signal)
        return Activations(pre, post, output(signal))

    def activation(self, pre: Tensor) -> Tensor:
        """The (leaky) ReLU of pre-activations of any shape."""
        if self.negative_slope:
            return nn.functional.leaky_relu(pre, self.negative_slope)
        return pre.relu()

    def _dropout_mask(self, post: Tensor) -> Tensor:
        if self._dropout_generators is None:
            raise InputError(
                f"dropout = {self.dropout:g}: masks come from seeded generators, so call seed_dropout before training"
            )
        keep = 1 - self.dropout
        mask = torch.empty(post.shape, dtype=post.dtype, device=post.device)
        for replicate, generator in zip(mask, self._dropout_generators, strict=True):
            replicate.bernoulli_(keep, generator=generator)
        return mask.div_(keep)
