"""Batch normalization with a leading replicate axis."""

import torch
from torch import Tensor, nn

from tsl.errors import InputError

MOMENTUM = 0.1
EPSILON = 1e-5


class ReplicatedBatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` for nodes, or `BatchNorm2d` for channels, separately for each replicate.

    In training mode every node of every replicate is normalized by its mean and variance over the batch (over batch and
    positions, if nodes are channels). The running statistics follow these with a momentum of 0.1 (the variance by its
    unbiased estimate). In evaluation mode every node is normalized by the running statistics. The ε under the root is
    1e-5.

    Args:
        replicates: Number R of independent networks.
        nodes: Nodes n of the layer.
        affine: Whether each node has a trained scale and shift after the normalization, 1 and 0 at the start.

    Attributes:
        weight: Scales, `[R, n]`, or None.
        bias: Shifts, `[R, n]`, or None.
        running_mean: `[R, n]`, 0 at the start.
        running_var: `[R, n]`, 1 at the start.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, replicates: int, nodes: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicates, nodes)) if affine else None
        self.bias = nn.Parameter(torch.empty(replicates, nodes)) if affine else None
        self.register_buffer("running_mean", torch.empty(replicates, nodes))
        self.register_buffer("running_var", torch.empty(replicates, nodes))
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Reset statistics and learned parameters."""
        for zero, one in ((self.running_mean, self.running_var), (self.bias, self.weight)):
            if zero is not None and one is not None:
                zero.zero_()
                one.fill_(1)

    def affine_map(self) -> tuple[Tensor, Tensor]:
        """The scale and the shift, each `[R, n]`, to which the layer reduces in evaluation mode."""
        scale = (self.running_var + EPSILON).rsqrt()
        if self.weight is None or self.bias is None:
            return scale, -self.running_mean * scale
        scale = scale * self.weight
        return scale, self.bias - self.running_mean * scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize `[R, B, n]`, or maps `[R, B, n, H, W]`.

        Raises:
            InputError: If a training batch has a single sample, hence no variance.
        """
        if not self.training:
            scale, shift = (along_nodes(values, inputs) for values in self.affine_map())
            return torch.addcmul(shift, inputs, scale)
        if inputs[0, :, 0].numel() == 1:
            raise InputError(
                "data.init_args.batch_size = 1: BatchNorm needs a variance over the batch; set it to at least 2"
            )
        normalized = nn.functional.batch_norm(
            inputs.transpose(0, 1).flatten(1, 2),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            None if self.weight is None else self.weight.view(-1),
            None if self.bias is None else self.bias.view(-1),
            training=True,
            momentum=MOMENTUM,
            eps=EPSILON,
        )
        return normalized.unflatten(1, inputs.shape[:3:2]).transpose(0, 1)


def along_nodes(values: Tensor, signals: Tensor) -> Tensor:
    """Values of nodes `[R, n]`, in a shape that broadcasts over signals `[R, B, n]` or `[R, B, n, H, W]`."""
    return values.reshape(len(values), 1, -1, *[1] * (signals.ndim - 3))
