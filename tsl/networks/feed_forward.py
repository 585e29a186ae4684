"""The base class of MLPs and convolutional networks: hidden layers one after the other, then a linear output.

Letters: R replicates, B inputs. Replicate r of every weight is applied only to replicate r of the inputs, so one
forward pass trains or evaluates R independent networks.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.batch_norm import ReplicatedBatchNorm
from tsl.networks.network import Activations, TrainableNetwork
from tsl.theory.activation import ActivationName, checked_activation

Own = TypeVar("Own", bound="FeedForward")


class ReplicatedLayer(nn.Module):
    """A layer of R independent networks.

    Attributes:
        weight: `[R, out, ...]`.
        bias: `[R, out]`, or None.

    The parameters are NaN; an `Initialization` fills them.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None


class ReplicatedLinear(ReplicatedLayer):
    """R independent affine maps, `x[r] @ weight[r].T + bias[r]`.

    Attributes:
        weight: `[R, out, in]`.
        bias: `[R, out]`, or None.
    """

    def __init__(self, replicates: int, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        # The memory layout is [R, in, out]: the gradient of x @ weight.mT then has the parameter's own layout, so
        # autograd needs no transposing copy in every step.
        self.weight = nn.Parameter(torch.full((replicates, in_features, out_features), torch.nan).mT)
        self.bias = nn.Parameter(torch.full((replicates, out_features), torch.nan)) if bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `[R, B, in]`, or `[R, B, ...]` with `in` numbers for each input, to `[R, B, out]`."""
        if inputs.ndim > 3:
            inputs = inputs.flatten(2)
        if self.bias is None:
            return torch.bmm(inputs, self.weight.mT)
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight.mT)


class FeedForward(TrainableNetwork):
    """R independent networks whose layers follow each other; `MLP` and `ConvNet` define the layers.

    Args:
        layers: Layers from the input upward; the last is a `ReplicatedLinear`.
        widths: Nodes of each hidden layer.
        activation: Activation of the hidden nodes; see `tsl.theory.activation`.
        negative_slope: Slope of relu below zero, up to 1; more than 0 is leaky ReLU.
        batch_norm: Whether every hidden layer has a BatchNorm, before or after its activation.
        batch_norm_affine: Whether each has a trained scale and shift.
        dropout: Probability, below 1, with which an output of a hidden layer is 0 for a training sample; the others
            are scaled up by 1 / (1 − dropout). In evaluation mode nothing is dropped.

    Raises:
        InputError: If there is no hidden layer, a slope is out of range or not of relu, or dropout would leave no node.
    """

    def __init__(
        self,
        layers: Sequence[ReplicatedLayer],
        widths: list[int],
        *,
        activation: ActivationName,
        negative_slope: float,
        batch_norm: Literal["before", "after"] | None,
        batch_norm_affine: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("widths is empty: expected at least one hidden layer")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout = {dropout:g}: expected a probability from 0 to below 1")
        self.layers: Sequence[ReplicatedLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.replicates, self.output_dim = self.layers[-1].weight.shape[:2]
        self.widths = list(widths)
        self.bias = self.layers[-1].bias is not None
        self.activation = checked_activation(activation, negative_slope)
        self.negative_slope = negative_slope
        self.batch_norm = batch_norm
        self.batch_norm_affine = batch_norm_affine
        self.dropout = dropout
        self.is_random = dropout > 0
        normalized = widths if batch_norm else []
        self.norms: Sequence[ReplicatedBatchNorm] = nn.ModuleList(  # type: ignore[assignment]
            ReplicatedBatchNorm(self.replicates, nodes, batch_norm_affine) for nodes in normalized
        )
        self._dropout_generators: list[Generator] | None = None

    @property
    @abstractmethod
    def init_args(self) -> dict[str, Any]:
        """The constructor's arguments, except `replicates`."""

    def active_nodes(self) -> list[Tensor]:
        """By the weights that lead out of each node; see the base class."""
        above = zip(self.widths, self.layers[1:], strict=True)
        return [
            (layer.weight != 0).reshape(*layer.weight.shape[:2], width, -1).any(dim=3).any(dim=1)
            for width, layer in above
        ]

    def with_widths(self: Own, widths: list[int], **changes: Any) -> Own:
        """An uninitialized network that differs only in the nodes of its hidden layers and in `changes`."""
        kind: Any = type(self)
        return kind(self.replicates, **(self.init_args | {"widths": widths} | changes))

    def widened(self: Own, multiplier: float, **changes: Any) -> Own:
        """A network of the same kind with `multiplier` times the nodes in every hidden layer, uninitialized.

        Args:
            multiplier: Number of nodes for each node of this network.
            changes: Arguments of the constructor in which the new network differs, such as `negative_slope`.

        Raises:
            InputError: If a layer would not have a whole, positive number of nodes.
        """
        return self.with_widths(multiplied(self.widths, multiplier), **changes)

    def seed_dropout(self, generators: Sequence[Generator]) -> None:
        """Restart the dropout masks, those of replicate r from `generators[r]` alone.

        Call it at the start of every training epoch with generators of that epoch, so that a resumed run drops the same
        nodes. Masks are drawn on the network's own device, by a generator that is seeded from the given one.
        """
        device = self.layers[0].weight.device
        self._dropout_generators = [Generator(device).manual_seed(given.initial_seed()) for given in generators]

    def activations(self, inputs: Tensor) -> Activations:
        """The output and every hidden layer's pre- and post-activations for inputs `[R, B, ...]`.

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

    def _dropout_mask(self, post: Tensor) -> Tensor:
        if self._dropout_generators is None:
            raise InputError(
                f"dropout = {self.dropout:g} needs seeded generators for its masks: call seed_dropout before training"
            )
        keep = 1 - self.dropout
        mask = torch.empty(post.shape, dtype=post.dtype, device=post.device)
        for replicate, generator in zip(mask, self._dropout_generators, strict=True):
            replicate.bernoulli_(keep, generator=generator)
        return mask.div_(keep)


def multiplied(widths: list[int], multiplier: float) -> list[int]:
    """`multiplier` times the nodes of a teacher's hidden layers.

    Raises:
        InputError: If a layer would not have a whole, positive number of nodes.
    """
    wider = [multiplier * width for width in widths]
    if not all(1 <= width < 2**31 and abs(width - round(width)) <= 1e-9 for width in wider):
        raise InputError(
            f"model.init_args.student.init_args.multiplier = {multiplier:g} gives the student hidden layers of "
            f"{', '.join(f'{width:g}' for width in wider)} nodes: choose one that gives whole numbers "
            f"for the teacher's {widths}"
        )
    return [round(width) for width in wider]
