"""Convolutional networks with a leading replicate axis.

Letters: R replicates, B images, C channels, H × W positions.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.metrics.functional import fan_out_strength
from tsl.networks.batch_norm import along_nodes
from tsl.networks.feed_forward import FeedForward, ReplicatedLayer, ReplicatedLinear
from tsl.networks.network import Activations
from tsl.theory.activation import ActivationName


class ReplicatedConv2d(ReplicatedLayer):
    """R independent convolutions like `torch.nn.Conv2d`, as one grouped convolution in which a replicate is a group.

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
        # Channels are last in memory, hence in the outputs too. Training is as fast, evaluation is faster, and every
        # position is a row of nodes, which measures need, without a copy.
        last = torch.full((replicates, out_channels, kernel_size, kernel_size, in_channels), torch.nan)
        self.weight = nn.Parameter(last.movedim(-1, 2))
        self.bias = nn.Parameter(torch.full((replicates, out_channels), torch.nan)) if bias else None
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

    def backward(self, signals: Tensor, size: Sequence[int]) -> Tensor:
        """Back-propagate signals at the outputs, `[R, B, out, H', W']`, to inputs of a height and width."""
        replicates, _, _, *kernel = self.weight.shape
        reached = [
            (side - 1) * self.stride - 2 * self.padding + entries
            for side, entries in zip(signals.shape[-2:], kernel, strict=True)
        ]
        maps = nn.functional.conv_transpose2d(
            signals.transpose(0, 1).flatten(1, 2),
            self.weight.flatten(0, 1),
            None,
            self.stride,
            self.padding,
            [side - own for side, own in zip(size, reached, strict=True)],  # positions at which no kernel starts
            groups=replicates,
        )
        return maps.unflatten(1, (replicates, -1)).transpose(0, 1)


class ConvNet(FeedForward):
    """R independent networks of convolutions and one linear layer on the flattened last maps, no pooling.

    A node is a channel; each of its positions is a sample. The paper's teacher on CIFAR-10 (Tian, ICML 2020)
    has 64-64-64-64 channels, and BatchNorm after the activation.

    Args:
        replicates: Number R of independent networks.
        input_shape: Channels, height and width of an image.
        widths: Channels of each convolution, from the input upward.
        output_dim: Number of outputs.
        kernel_size: Height and width of the kernels, one for all convolutions or one for each.
        stride: Their step between positions, as above.
        padding: Zeros they add on every side, less than the kernel size, as above.
        bias: Whether every layer has a bias.
        activation: Activation of the hidden nodes: relu, erf (of x/√2), tanh, sigmoid, quadratic or linear.
        negative_slope: Slope of relu below zero, up to 1; more than 0 is leaky ReLU.
        batch_norm: Whether every convolution has a BatchNorm, before or after its activation.
        batch_norm_affine: Whether each has a trained scale and shift.
        dropout: Probability, below 1, with which a channel's output at a position is 0 for a training image; the others
            are scaled up by 1 / (1 − dropout). In evaluation mode nothing is dropped.

    Attributes:
        map_sizes: Height and width of each convolution's maps.

    Raises:
        InputError: If there is no convolution, a list has another length, maps would be smaller than the next kernel,
            a slope is out of range or not of relu, or dropout would leave no node.

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
        activation: ActivationName = "relu",
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
            activation=activation,
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

    @torch.no_grad()
    def output_gradients(self, activations: Activations, signals: Tensor) -> list[Tensor]:
        """V_l(x)ᵀ v: the gradient of v · f(x) with respect to every hidden layer's outputs, of their shape.

        As everywhere, outputs are those of the activation, before any BatchNorm after it (`effective_layers` explains
        more).

        Args:
            activations: Of the images, in evaluation mode.
            signals: A v for each image, `[R, B, outputs]`.
        """
        signal = torch.bmm(signals, self.layers[-1].weight).unflatten(2, activations.pre[-1].shape[2:])
        gradients = []
        for number in reversed(range(len(self.widths))):
            if self.batch_norm == "after":
                signal = signal * along_nodes(self.norms[number].affine_map()[0], signal)
            gradients.append(signal)
            if number > 0:
                signal = signal * self.activation.gate(activations.pre[number])
                if self.batch_norm == "before":
                    signal = signal * along_nodes(self.norms[number].affine_map()[0], signal)
                signal = self.layers[number].backward(signal, self.map_sizes[number - 1])  # type: ignore[operator]
        return gradients[::-1]

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """E β_kk over images and positions, where node k is a channel at a position.

        It is exact for the last convolution, where V_l is the linear layer's weights. For lower ones, V_l(x) would need
        one backward pass for each output. There it is estimated on `some_images`, each with one signal v of random
        signs, for which E_v[(V_lᵀ v)_k²] = β_kk (Hutchinson's estimate of a diagonal).
        """
        images = some_images(activations.output.shape[1])
        few = of_images(activations, images)
        signs = torch.randint(2, few.output.shape[1:], generator=probes, device="cpu") * 2.0 - 1
        gradients = self.output_gradients(few, signs.to(few.output).expand_as(few.output))
        squares = fan_out_strength(self.layers[-1].weight.detach()).square()  # of every position of a channel
        top = squares.unflatten(1, (self.widths[-1], -1)).mean(dim=-1)
        if self.batch_norm == "after":
            top = top * self.norms[-1].affine_map()[0].detach().square()
        return [*(gradient.square().mean(dim=(1, 3, 4)) for gradient in gradients[:-1]), top]

    def lowest_error(self, activations: Activations, error: Tensor) -> Tensor:
        """g_1 of `some_images` only: all images would make evaluation 1.5 times as long; see the base class.

        Returns:
            `[R, images, channels, height, width]`.
        """
        images = some_images(error.shape[1])
        few = of_images(activations, images)
        return self.output_gradients(few, error[:, images])[0] * self.activation.gate(few.pre[0])

    @property
    def init_args(self) -> dict[str, Any]:
        """The constructor's arguments, except `replicates`."""
        return {
            "input_shape": self.input_shape,
            "widths": self.widths,
            "output_dim": self.output_dim,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "bias": self.bias,
            "activation": self.activation.name,
            "negative_slope": self.negative_slope,
            "batch_norm": self.batch_norm,
            "batch_norm_affine": self.batch_norm_affine,
            "dropout": self.dropout,
        }


def some_images(count: int) -> slice:
    """The images of a batch for measures that need a backward pass: one in 16, but at least 16 of them."""
    return slice(None, None, max(1, min(16, count // 16)))


def of_images(activations: Activations, images: slice) -> Activations:
    """The activations of some images."""
    pre, post = ([maps[:, images] for maps in layers] for layers in (activations.pre, activations.post))
    return Activations(pre, post, activations.output[:, images])


def per_layer(value: int | list[int], depth: int, name: str) -> list[int]:
    """One value for each convolution.

    Raises:
        InputError: If the list has not one value for each convolution.
    """
    values = [value] * depth if isinstance(value, int) else list(value)
    if len(values) != depth:
        raise InputError(
            f"{name} = {values} for {depth} convolutions: give one number for all, or one for each of them"
        )
    return values


def sizes_of_maps(
    size: tuple[int, ...], kernels: list[int], strides: list[int], paddings: list[int]
) -> list[tuple[int, ...]]:
    """Height and width of each convolution's maps, for images of a height and width.

    Raises:
        InputError: If a kernel does not fit, or would cover only padding.
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
