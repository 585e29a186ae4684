"""The plain network that equals a network with BatchNorm in evaluation mode, and its nodes' strengths."""

import torch
from torch import Tensor

from tsl.networks.feed_forward import FeedForward
from tsl.networks.network import Activations
from tsl.theory.gradient_rule import mean_beta_diagonals


def lowest_layer(network: FeedForward) -> tuple[Tensor, Tensor]:
    """Weight `[R, out, ...]` and bias `[R, out]` of the lowest layer, BatchNorm before its activation folded in."""
    layer = network.layers[0]
    bias = layer.weight.new_zeros(layer.weight.shape[:2]) if layer.bias is None else layer.bias
    if network.batch_norm != "before":
        return layer.weight, bias
    scale, shift = network.norms[0].affine_map()
    return layer.weight * scale.reshape(*scale.shape, *[1] * (layer.weight.ndim - 2)), bias * scale + shift


def effective_layers(network: FeedForward) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of the plain network that computes what `network` does in evaluation mode.

    In evaluation mode BatchNorm is an affine map of each node: the running statistics are constants, and no gradient
    passes through them. BatchNorm before the activation is folded into its own layer. BatchNorm after it is folded into
    the layer above, so that f_l and β_kk refer to the activation's output before normalization. In both cases
    pre-activations and gates are those of `network.activations`.

    Args:
        network: The network, in any mode; activations used with the result must come from evaluation mode.

    Returns:
        From layer 1 to the output, weight `[R, out, in]` and bias `[R, out]`. The bias is 0 if the layer has none.
        Layers without BatchNorm are the network's own parameters.
    """
    layers: list[tuple[Tensor, Tensor]] = []
    for layer in network.layers:
        no_bias = layer.weight.new_zeros(layer.weight.shape[:2])
        layers.append((layer.weight, no_bias if layer.bias is None else layer.bias))
    for number, norm in enumerate(network.norms):
        scale, shift = norm.affine_map()
        if network.batch_norm == "before":
            weight, bias = layers[number]
            layers[number] = weight * scale.unsqueeze(-1), bias * scale + shift
        else:
            weight, bias = layers[number + 1]
            layers[number + 1] = weight * scale.unsqueeze(1), bias + (weight @ shift.unsqueeze(-1)).squeeze(-1)
    return layers


@torch.no_grad()
def squared_strengths(network: FeedForward, activations: Activations) -> list[Tensor]:
    """E_x β_kk of every hidden layer, from the network's activations in evaluation mode, each `[R, nodes]`.

    β is that of `effective_layers`: how strongly the output reacts to a node's output before any BatchNorm after it.
    """
    gates = [network.activation.gate(pre) for pre in activations.pre[1:]]
    return mean_beta_diagonals([weight for weight, _ in effective_layers(network)], gates)
