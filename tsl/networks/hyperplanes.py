"""The hyperplanes wᵀx + b = 0 on which the nodes of a network's lowest layer switch between active and inactive.

Letters: R replicates, d numbers in an input.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from tsl.errors import InputError
from tsl.networks.convnet import ConvNet
from tsl.networks.effective import lowest_layer
from tsl.networks.feed_forward import FeedForward
from tsl.networks.mlp import MLP


class Hyperplanes(ABC):
    """The hyperplanes of all nodes.

    Attributes:
        nodes: Number of nodes.
    """

    nodes: int

    @abstractmethod
    def of(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """Unit normals w / ‖w‖ `[R, ..., d]` over the flattened input, and offsets b / ‖w‖ `[R, ...]`.

        Args:
            node: Nodes `[R, ...]`, counted from 0.
        """


class LinearHyperplanes(Hyperplanes):
    """The hyperplanes of an affine layer's nodes.

    Args:
        weight: `[R, nodes, d]`.
        bias: `[R, nodes]`.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        length = weight.norm(dim=-1)
        self.normal = (weight / length.unsqueeze(-1)).flatten(0, 1)
        self.offset = (bias / length).flatten()
        self.nodes = weight.shape[1]

    def of(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled rows of the weight and bias; see the base class."""
        replicate = torch.arange(len(node), device=node.device).reshape(-1, *[1] * (node.ndim - 1))
        rows = (node + replicate * self.nodes).flatten()
        return self.normal.index_select(0, rows).unflatten(0, node.shape), self.offset[rows].unflatten(0, node.shape)


class ConvolutionHyperplanes(Hyperplanes):
    """The hyperplanes of a convolution's nodes, where a node is a channel at an output position.

    The number of a node is (channel · rows + row) · columns + column. Its normal is the channel's kernel, placed at
    that position on the input; the part on the padding is cut off.

    Args:
        weight: Kernels `[R, channels, input channels, height, width]`.
        bias: `[R, channels]`.
        shape: Input channels, rows and columns of an image.
        stride: The convolution's stride.
        padding: Its zero padding on every side, less than the kernel's height and width.
    """

    def __init__(self, weight: Tensor, bias: Tensor, shape: Sequence[int], stride: int = 1, padding: int = 0) -> None:
        self.weight = weight
        self.bias = bias
        self.shape = tuple(shape)
        self.stride = stride
        self.padding = padding
        sizes = zip(self.shape[1:], weight.shape[-2:], strict=True)
        self.rows, self.columns = ((size + 2 * padding - kernel) // stride + 1 for size, kernel in sizes)
        self.nodes = weight.shape[1] * self.rows * self.columns

    def of(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """Placed and scaled kernels and their biases; see the base class."""
        channels, height, width = self.shape
        kernel_height, kernel_width = self.weight.shape[-2:]
        replicate = torch.arange(len(node), device=node.device).reshape(-1, *[1] * (node.ndim - 1)).expand_as(node)
        channel, position = node // (self.rows * self.columns), node % (self.rows * self.columns)
        canvas = self.weight.new_zeros(node.numel(), channels, height + 2 * self.padding, width + 2 * self.padding)
        top = (position // self.columns * self.stride).reshape(-1, 1, 1)
        left = (position % self.columns * self.stride).reshape(-1, 1, 1)
        down = top + torch.arange(kernel_height, device=node.device)[:, None]
        right = left + torch.arange(kernel_width, device=node.device)
        image = torch.arange(node.numel(), device=node.device).reshape(-1, 1, 1)
        # Indices on both sides of a slice put the indexed axes first: [images, kernel rows, kernel columns, channels].
        canvas[image, :, down, right] = self.weight[replicate, channel].flatten(end_dim=-4).movedim(1, -1)
        inner = canvas[..., self.padding : self.padding + height, self.padding : self.padding + width]
        normal = inner.flatten(1).unflatten(0, node.shape)
        length = normal.norm(dim=-1)
        return normal / length.unsqueeze(-1), self.bias[replicate, channel] / length


@singledispatch
def hyperplanes(network: nn.Module, shape: Sequence[int]) -> Hyperplanes:
    """The hyperplanes of a network's lowest layer, for inputs of a shape; each network class registers its function.

    Raises:
        InputError: If none is registered for the network, inputs do not fit it, or a node has no hyperplane.
    """
    raise InputError(
        f"teacher-aware augmentation needs the hyperplanes of the teacher's lowest layer, but "
        f"{type(network).__name__} does not give them: choose tsl.data.TeacherAgnostic, or tsl.networks.MLP or ConvNet"
    )


@hyperplanes.register
def _(network: MLP, shape: Sequence[int]) -> Hyperplanes:
    weight, bias = checked_lowest_layer(network, shape)
    return LinearHyperplanes(weight, bias)


@hyperplanes.register
def _(network: ConvNet, shape: Sequence[int]) -> Hyperplanes:
    weight, bias = checked_lowest_layer(network, shape)
    layer: Any = network.layers[0]
    return ConvolutionHyperplanes(weight, bias, shape, layer.stride, layer.padding)


def checked_lowest_layer(network: FeedForward, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Weights and biases of the lowest layer, BatchNorm folded in.

    Raises:
        InputError: If inputs do not fit it, or a node has no weights.
    """
    if not network.accepts(shape):
        raise InputError(
            f"inputs have the shape {list(shape)}, {prod(shape)} numbers, but the teacher takes {network.input_shape}"
        )
    weight, bias = (values.detach() for values in lowest_layer(network))
    if not weight.flatten(2).any(dim=-1).all():
        raise InputError(
            "a node of the teacher's lowest layer has no weights, hence no hyperplane for teacher-aware augmentation: "
            "choose another model.init_args.teacher_initialization, or tsl.data.TeacherAgnostic"
        )
    return weight, bias
