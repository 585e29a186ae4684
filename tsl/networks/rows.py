"""The nodes of a layer as rows: a node's incoming weights with its bias, as last entry."""

import torch
from torch import Tensor

from tsl.networks.mlp import MLP, ReplicatedLinear


@torch.no_grad()
def set_rows(layer: ReplicatedLinear, rows: Tensor) -> None:
    """Give a layer the rows `[R, out, in + 1]`; the last column goes unread where the layer has no biases."""
    layer.weight.copy_(rows[..., : layer.weight.shape[-1]])
    if layer.bias is not None:
        layer.bias.copy_(rows[..., -1])


@torch.no_grad()
def normalize_weights_(network: MLP) -> None:
    """Scale every hidden node's row (w, b) to unit norm, in place; the output layer and frozen layers stay as they are.

    A row of zeros stays zero. Where weights are to stay normalized, call it after every optimizer step; an optimizer's
    momentum is left as it is.
    """
    *hidden, _ = network.layers
    for layer in hidden:
        if not layer.weight.requires_grad:
            continue
        norm = torch.linalg.vector_norm(layer.weight, dim=-1)
        if layer.bias is not None:
            norm = torch.hypot(norm, layer.bias)
        norm.clamp_(min=torch.finfo(norm.dtype).tiny)
        layer.weight.div_(norm.unsqueeze(-1))
        if layer.bias is not None:
            layer.bias.div_(norm)
