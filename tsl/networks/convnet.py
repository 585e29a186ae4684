"""Convolutional networks with a leading replicate axis.

Letters: R replicates, B images, C channels, H × W positions.
"""

from typing import Any, Literal

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward, ReplicatedLayer, ReplicatedLinear


class ReplicatedConv2d(ReplicatedLayer):
    """R independent convolutions, as `torch.nn.Conv2d` does each: one grouped convolution, the replicates its groups.

    Args:
        replicates: Number R of independent convolutions.
        in_channels: Channels of the inputs.
        out_channels: Channels of the outputs.
        kernel_size: Height and width of the kernels.
        stride: Step between positions.
        padding: Zeros added on every side of the inputs.
        bias: Whether every output channel has a bias.

    Attributes:
        weight: `[R, out, in, height, width]`.
        bias: `[R, out]`, or None.
    """

    def __init__(
        self,
        replicates: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        # Channels last in memory, and so are then the outputs: as fast in training, faster in evaluation, and every
        # position is a row of nodes as measures want it, without a copy.
        last = torch.empty(replicates, out_channels, kernel_size, kernel_size, in_channels)
        self.weight = nn.Parameter(last.movedim(-1, 2))
        self.bias = nn.Parameter(torch.empty(replicates, out_channels)) if bias else None
        self.stride = stride
        self.padding = padding

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `[R, B, C, H, W]` to `[R, B, out, H', W']`, which lie in memory as [B, H', W', R, out]."""
        replicates = self.weight.shape[0]
        maps = nn.functional.conv2d(
            inputs.transpose(0, 1).flatten(1, 2),
            self.weight.flatten(0, 1),
            None if self.bias is None else self.bias.flatten(),
            self.stride,
            self.padding,
            groups=replicates,
        )
        return maps.unflatten(1, (replicates, -1)).transpose(0, 1)


class ConvNet(FeedForward):
    """R independent (leaky) ReLU networks of convolutions and one linear layer on the flattened last maps, no pooling.

    A node is a channel; each of its positions is a sample. (REFERENCE: CIFAR-10, with 64-64-64-64 channels and
    BatchNorm after the activation.)

    Args:
        replicates: Number R of independent networks.
        input_shape: Channels, height and width of an image.
        widths: Channels of each convolution, from the input upward.
        output_dim: Number of outputs.
        kernel_size: Height and width of the kernels, one for all convolutions or one for each.
        stride: Their step between positions, as above.
        padding: Zeros they add on every side, less than the kernel size, as above.
        bias: Whether every layer has a bias.
        negative_slope: Slope of the activation below zero, up to 1: 0 is ReLU, more is leaky ReLU.
        batch_norm: Whether every convolution has a BatchNorm, before or after its activation.
        batch_norm_affine: Whether each has a trained scale and shift.
        dropout: Probability, below 1, with which a channel's output at a position is 0 for a training image; the others
            are scaled up by 1 / (1 − dropout). In evaluation mode nothing is dropped.

    Attributes:
        map_sizes: Height and width of each convolution's maps.

    Raises:
        InputError: If there is no convolution, a list has another length, maps would be smaller than the next kernel,
            a slope is out of range, or dropout would leave no node.

    The weights are uninitialized; an `Initialization` fills them.
    """

    def __init__(
        self,
        replicates: PositiveInt = 1,
        *,
        input_shape: list[PositiveInt],
        widths: list[PositiveInt],
        output_dim: PositiveInt,
        kernel_size: PositiveInt | list[PositiveInt] = 3,
        stride: PositiveInt | list[PositiveInt] = 1,
        padding: NonNegativeInt | list[NonNegativeInt] = 0,
        bias: bool = True,
        negative_slope: ClosedUnitInterval = 0.0,
        batch_norm: Literal["before", "after"] | None = None,
        batch_norm_affine: bool = True,
        dropout: ClosedUnitInterval = 0.0,
    ) -> None:
        if len(input_shape) != 3:
            raise InputError(f"input_shape = {list(input_shape)}: give channels, height and width, such as [3, 32, 32]")
        depth = len(widths)
        kernels = per_layer(kernel_size, depth, "kernel_size")
        strides = per_layer(stride, depth, "stride")
        paddings = per_layer(padding, depth, "padding")
        map_sizes = sizes_of_maps(tuple(input_shape[1:]), kernels, strides, paddings)
        layers: list[ReplicatedLayer] = []
        channels = input_shape[0]
        for width, kernel, step, zeros in zip(widths, kernels, strides, paddings, strict=True):
            layers.append(ReplicatedConv2d(replicates, channels, width, kernel, step, zeros, bias))
            channels = width
        height, width = map_sizes[-1] if map_sizes else input_shape[1:]
        layers.append(ReplicatedLinear(replicates, channels * height * width, output_dim, bias))
        super().__init__(
            layers,
            widths,
            negative_slope=negative_slope,
            batch_norm=batch_norm,
            batch_norm_affine=batch_norm_affine,
            dropout=dropout,
        )
        self.input_shape = list(input_shape)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.map_sizes = map_sizes

    @property
    def init_args(self) -> dict[str, Any]:
        """The arguments that make such a network, but for `replicates`."""
        return {
            "input_shape": self.input_shape,
            "widths": self.widths,
            "output_dim": self.output_dim,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "bias": self.bias,
            "negative_slope": self.negative_slope,
            "batch_norm": self.batch_norm,
            "batch_norm_affine": self.batch_norm_affine,
            "dropout": self.dropout,
        }


def per_layer(value: int | list[int], depth: int, name: str) -> list[int]:
    """One value for each convolution.

    Raises:
        InputError: If a list has another length.
    """
    values = [value] * depth if isinstance(value, int) else list(value)
    if len(values) != depth:
        raise InputError(f"{name} = {values} for {depth} convolutions: give one number for all, or one for each")
    return values


def sizes_of_maps(
    size: tuple[int, ...], kernels: list[int], strides: list[int], paddings: list[int]
) -> list[tuple[int, ...]]:
    """Height and width of each convolution's maps, for images of a height and width.

    Raises:
        InputError: If a kernel does not fit, or would lie on the padding alone.
    """
    sizes = []
    for layer, (kernel, stride, padding) in enumerate(zip(kernels, strides, paddings, strict=True), start=1):
        if padding >= kernel:
            raise InputError(
                f"padding = {padding} of convolution {layer} is not less than its kernel_size = {kernel}: lower padding"
            )
        if min(size) + 2 * padding < kernel:
            raise InputError(
                f"convolution {layer} gets maps of {size[0]} x {size[1]}, too small for its kernel_size = {kernel}: "
                "use fewer widths, a smaller kernel_size or stride, or padding"
            )
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in size)
        sizes.append(size)
    return sizes
