"""Lemma 1's ingredients: how an error at the output reaches a hidden layer, sample by sample.

Letters follow the paper: f° teacher, f student, W_l the weights into layer l, D_l(x) the 0/1 (or leak/1) gate of its
nodes, V_l(x) the derivative of the output with respect to layer l's post-activations, so that
V_{l-1}(x) = V_l(x) D_l(x) W_l, with the output weights at the top.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def gate(pre_activation: Tensor, negative_slope: float = 0.0) -> Tensor:
    """The derivative D_l(x) of a (leaky) ReLU at its pre-activations, of their shape; the slope at 0 is the leak."""
    return torch.where(pre_activation > 0, torch.ones_like(pre_activation), negative_slope)


def backpropagated_error(weights: Sequence[Tensor], gates: Sequence[Tensor], error: Tensor) -> Tensor:
    """g_1(x) = D_1(x) V_1(x)ᵀ (f°(x) − f(x)): the error at the lowest layer's pre-activations, before averaging.

    It is minus the gradient of ½‖f° − f‖² of one sample with respect to the lowest pre-activations (Lemma 1).

    Args:
        weights: The student's weights from layer 1 to the output, each `[R, out, in]`.
        gates: D_l(x) of every hidden layer, each `[R, B, nodes]`.
        error: f°(x) − f(x), `[R, B, outputs]`.

    Returns:
        `[R, B, nodes]`, for the nodes of layer 1.
    """
    signal = error
    for weight, layer_gate in zip(reversed(weights[1:]), reversed(gates), strict=True):
        signal = torch.bmm(signal, weight) * layer_gate
    return signal


def mean_beta_diagonals(weights: Sequence[Tensor], gates: Sequence[Tensor]) -> list[Tensor]:
    """E_x β_kk of every hidden layer, where β_kk(x) = Σ_outputs V_l(x)²: how strongly node k drives the output.

    At the top hidden layer it is the squared norm of the node's fan-out weights. Costs one backward pass of V_l for
    every output; no nodes × nodes matrix is formed.

    Args:
        weights: The network's weights from layer 1 to the output, each `[R, out, in]`.
        gates: D_l(x) of every hidden layer, each `[R, B, nodes]`.

    Returns:
        For layers 1 to L, the mean over the B inputs, `[R, nodes]`.
    """
    diagonals = [weights[-1].square().sum(dim=1)]
    jacobian = weights[-1].unsqueeze(1)  # V_l(x), [R, B or 1, outputs, nodes]
    for weight, layer_gate in zip(reversed(weights[1:-1]), reversed(gates[1:]), strict=True):
        gated = jacobian * layer_gate.unsqueeze(2)
        jacobian = torch.bmm(gated.flatten(1, 2), weight).unflatten(1, gated.shape[1:3])
        diagonals.append(jacobian.square().sum(dim=2).mean(dim=1))
    return diagonals[::-1]
