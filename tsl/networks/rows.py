"""The nodes of a layer as rows: a node's incoming weights with its bias, as last entry."""

import torch
from torch import Tensor

from tsl.networks.feed_forward import FeedForward, ReplicatedLayer


def row_shape(layer: ReplicatedLayer) -> tuple[int, int]:
    """A layer's nodes, and the incoming weights of each: its inputs, times the entries of a kernel if it has one."""
    return layer.weight.shape[1], layer.weight.shape[2:].numel()


@torch.no_grad()
def set_rows(layer: ReplicatedLayer, rows: Tensor) -> None:
    """Give a layer the rows `[R, out, in + 1]`; the last column is ignored if the layer has no biases."""
    _, below = row_shape(layer)
    layer.weight.copy_(rows[..., :below].unflatten(-1, layer.weight.shape[2:]))
    if layer.bias is not None:
        layer.bias.copy_(rows[..., -1])


@torch.no_grad()
def normalize_weights_(network: FeedForward) -> None:
    """Scale every hidden node's row (w, b) to unit norm, in place; the output layer and frozen layers stay as they are.

    A row of zeros stays zero. To keep weights normalized, call it after every optimizer step; the optimizer's momentum
    is not changed.
    """
    *hidden, _ = network.layers
    for layer in hidden:
        if not layer.weight.requires_grad:
            continue
        norm = torch.linalg.vector_norm(layer.weight.flatten(2), dim=-1)
        if layer.bias is not None:
            norm = torch.hypot(norm, layer.bias)
        norm.clamp_(min=torch.finfo(norm.dtype).tiny)
        layer.weight.div_(norm.reshape(*norm.shape, *[1] * (layer.weight.ndim - 2)))
        if layer.bias is not None:
            layer.bias.div_(norm)
