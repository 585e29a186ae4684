"""Lemma 1: the gradient at a hidden layer for every sample, from the error at the output.

    g_l(x) = D_l(x) [A_l(x) f°_l(x) − B_l(x) f_l(x)],    A_l = V_lᵀ V°_l,    B_l = V_lᵀ V_l

Letters follow the paper: f° teacher, f student, f_l(x) the outputs of layer l, W_l the weights into it, D_l(x) the
derivative of its nodes' activation (the 0/1 gate of ReLU), V_l(x) the derivative of the output with respect to f_l(x),
so that V_{l-1}(x) = V_l(x) D_l(x) W_l, with the output weights at the top. R replicates, B inputs.

Biases enter as weights of a constant-1 unit, which `network_pass` appends to every layer as its last node; then
V_l(x) f_l(x) is the whole output f(x), and Lemma 1 holds as it stands. At the top hidden layer, where V_l is the output
weights, it holds for any activation; below, for those that are piecewise linear, as `network_pass` checks.

With BatchNorm, give the weights and biases of `tsl.networks.effective_layers`. In evaluation mode BatchNorm is an
affine map with constant running statistics, so the lemma holds for the equivalent plain network.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from tsl.errors import InputError
from tsl.metrics.functional import fan_out_strength
from tsl.theory.activation import Activation


class NetworkPass(NamedTuple):
    """What Lemma 1 needs of a network and one batch, with a constant-1 unit appended to every layer.

    Attributes:
        weights: W_l with its bias as last column, from layer 1 to the output: `[R, nodes + 1, in + 1]` for a hidden
            layer, where the last row keeps the constant unit at 1, and `[R, outputs, in + 1]` for the output.
        gates: D_l(x) of every hidden layer, `[R, B, nodes + 1]`.
        post: f_l(x) of every hidden layer, `[R, B, nodes + 1]`.
    """

    weights: list[Tensor]
    gates: list[Tensor]
    post: list[Tensor]


class LayerTerms(NamedTuple):
    """The terms of Lemma 1 at one hidden layer of m teacher and n student nodes, each with the constant-1 unit last.

    Only `A` and `B` form the nodes × nodes matrices of every sample.

    Attributes:
        V: The student's V_l(x), `[R, B, outputs, n + 1]`; B is 1 at the top, where it is the same for every input.
        V_teacher: The teacher's V°_l(x), `[R, B, outputs, m + 1]`; B as above.
        gate: D_l(x), `[R, B, n + 1]`.
        post: f_l(x), `[R, B, n + 1]`.
        teacher_post: f°_l(x), `[R, B, m + 1]`.
    """

    V: Tensor
    V_teacher: Tensor
    gate: Tensor
    post: Tensor
    teacher_post: Tensor

    @property
    def A(self) -> Tensor:  # noqa: N802 (the paper's letter)
        """A_l(x) = V_lᵀ V°_l, `[R, B, n + 1, m + 1]`; B is 1 at the top."""
        return self.V.mT @ self.V_teacher

    @property
    def B(self) -> Tensor:  # noqa: N802
        """B_l(x) = V_lᵀ V_l, `[R, B, n + 1, n + 1]`; B is 1 at the top."""
        return self.V.mT @ self.V

    @property
    def mean_A(self) -> Tensor:  # noqa: N802
        """E_x A_l(x), `[R, n + 1, m + 1]`, by one batched product."""
        return _mean_product(self.V, self.V_teacher)

    @property
    def mean_B(self) -> Tensor:  # noqa: N802
        """E_x B_l(x), `[R, n + 1, n + 1]`, by one batched product; its diagonal is E_x β_kk."""
        return _mean_product(self.V, self.V)

    @property
    def g(self) -> Tensor:
        """g_l(x) of the n student nodes, `[R, B, n]`: minus the gradient of ½‖f° − f‖² at their pre-activations."""
        error = self.V_teacher @ self.teacher_post.unsqueeze(-1) - self.V @ self.post.unsqueeze(-1)
        return (self.gate * (self.V.mT @ error).squeeze(-1))[..., :-1]


def network_pass(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    pre: Sequence[Tensor],
    activation: Activation = Activation(),  # noqa: B008 (a tuple)
) -> NetworkPass:
    """Append the constant-1 unit to every layer of a network and of its activations.

    Args:
        weights: W_l from layer 1 to the output, each `[R, out, in]`.
        biases: The bias of each, `[R, out]`, or None.
        pre: Pre-activations of every hidden layer, `[R, B, nodes]`.
        activation: Activation of the hidden layers.

    Raises:
        InputError: If there is more than one hidden layer, and the activation is not piecewise linear.
    """
    if len(pre) > 1 and not activation.is_piecewise_linear:
        raise InputError(
            "Lemma 1 needs a piecewise linear activation below the top hidden layer, where it writes the output as "
            f"V_l(x) f_l(x), but the network has {activation.name} in {len(pre)} hidden layers: set "
            "records.mean_matrices to false, or use one hidden layer, or activation: relu or linear"
        )
    no_biases = [weight.new_zeros(weight.shape[:2]) for weight in weights]
    columns = [none if bias is None else bias for bias, none in zip(biases, no_biases, strict=True)]
    with_bias = [torch.cat([weight, b.unsqueeze(-1)], dim=-1) for weight, b in zip(weights, columns, strict=True)]
    for layer, weight in enumerate(with_bias[:-1]):
        with_bias[layer] = pad(weight, (0, 0, 0, 1))
        with_bias[layer][:, -1, -1] = 1
    gates = [activation.gate(values) for values in pre]
    post = [activation(values) for values in pre]
    return NetworkPass(with_bias, _with_ones(gates), _with_ones(post))


def gradient_rule(student: NetworkPass, teacher: NetworkPass) -> list[LayerTerms]:
    """The terms of Lemma 1 at layers 1 to L, of a student and a teacher of the same depth on the same inputs."""
    V, V_teacher = (list(output_jacobians(run.weights, run.gates))[::-1] for run in (student, teacher))
    layers = zip(V, V_teacher, student.gates, student.post, teacher.post, strict=True)
    return [LayerTerms(*layer) for layer in layers]


def output_jacobians(weights: Sequence[Tensor], gates: Sequence[Tensor]) -> Iterator[Tensor]:
    """V_l(x), the derivative of the output with respect to layer l's post-activations, from layer L down to 1.

    Args:
        weights: The network's weights from layer 1 to the output, each `[R, out, in]`.
        gates: D_l(x) of hidden layers 2 to L, each `[R, B, nodes]`; that of layer 1 may come first and is ignored.

    Yields:
        `[R, B, outputs, nodes]`; B is 1 at layer L, where it is the same for every input. Each costs one batched
        product with the weights.
    """
    jacobian = weights[-1].unsqueeze(1)
    yield jacobian
    for weight, layer_gate in zip(reversed(weights[1:-1]), reversed(gates), strict=False):
        gated = jacobian * layer_gate.unsqueeze(2)
        jacobian = torch.bmm(gated.flatten(1, 2), weight).unflatten(1, gated.shape[1:3])
        yield jacobian


def backpropagated_error(weights: Sequence[Tensor], gates: Sequence[Tensor], error: Tensor) -> Tensor:
    """g_1(x) = D_1(x) V_1(x)ᵀ (f°(x) − f(x)): the error at the lowest layer's pre-activations, before averaging.

    The same as `LayerTerms.g` of layer 1, at the cost of one vector for every sample.

    Args:
        weights: The student's weights from layer 1 to the output, each `[R, out, in]`.
        gates: D_l(x) of every hidden layer, each `[R, B, nodes]`.
        error: f°(x) − f(x), `[R, B, outputs]`.

    Returns:
        `[R, B, nodes]`, for the nodes of layer 1.
    """
    signal = error
    for weight, layer_gate in zip(reversed(weights[1:]), reversed(gates), strict=True):
        signal = torch.bmm(signal, weight).mul_(layer_gate)
    return signal


def mean_beta_diagonals(weights: Sequence[Tensor], gates: Sequence[Tensor]) -> list[Tensor]:
    """E_x β_kk of every hidden layer, where β_kk(x) = Σ_outputs V_l(x)²: how strongly node k acts on the output.

    At the top hidden layer it is the squared norm of the node's fan-out weights, the same for every input. The cost is
    one backward pass of V_l for every output, a few inputs at a time; no nodes × nodes matrix is formed.

    Args:
        weights: The network's weights from layer 1 to the output, each `[R, out, in]`.
        gates: D_l(x) of hidden layers 2 to L, each `[R, B, nodes]`; that of layer 1 may come first and is ignored.

    Returns:
        For layers 1 to L, the mean over the B inputs, `[R, nodes]`.
    """
    top = fan_out_strength(weights[-1]).square()
    if len(weights) == 2:
        return [top]
    samples = gates[-1].shape[1]
    # A core's cache holds V_l of a few inputs only; on a GPU so few inputs would be slow.
    numbers_at_once = 2**18 if top.device.type == "cpu" else 2**24
    block = max(1, numbers_at_once // (weights[-1].shape[:2].numel() * max(w.shape[2] for w in weights[1:])))
    sums = [top.new_zeros(weight.shape[::2]) for weight in weights[1:-1]]
    for start in range(0, samples, block):
        _, *lower = output_jacobians(weights, [layer_gate[:, start : start + block] for layer_gate in gates])
        for total, jacobian in zip(reversed(sums), lower, strict=True):
            total += jacobian.square().sum(dim=(1, 2))
    return [*(total / samples for total in sums), top]


def _mean_product(left: Tensor, right: Tensor) -> Tensor:
    """The mean over inputs of leftᵀ right, from `[R, B, outputs, n]` and `[R, B, outputs, m]`: `[R, n, m]`."""
    return torch.bmm(left.flatten(1, 2).mT, right.flatten(1, 2)) / left.shape[1]


def _with_ones(layers: list[Tensor]) -> list[Tensor]:
    return [pad(values, (0, 1), value=1) for values in layers]
