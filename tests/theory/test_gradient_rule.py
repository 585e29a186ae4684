import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from tsl.networks import MLP, GaussianInitialization
from tsl.randomness import replicate_generators
from tsl.theory.gradient_rule import (
    LayerTerms,
    NetworkPass,
    backpropagated_error,
    gate,
    gradient_rule,
    mean_beta_diagonals,
    network_pass,
)

SAMPLES = 9
anywhere = pytest.mark.parametrize(
    ("widths", "slope", "bias"),
    [([4], 0.0, True), ([4, 6, 7], 0.0, True), ([4, 6, 7], 0.1, True), ([4, 6], 0.2, False)],
)


def network(widths: list[int], slope: float, bias: bool = True, seed: int = 0) -> MLP:
    drawn = MLP(2, input_dim=5, widths=widths, output_dim=3, negative_slope=slope, bias=bias).double()
    GaussianInitialization(std=0.7)(drawn, replicate_generators("student", seed, 2))
    for layer in drawn.layers:
        if bias:
            torch.nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(seed))
    return drawn


def passed(of: MLP, inputs: Tensor) -> NetworkPass:
    weights, biases = ([getattr(layer, name) for layer in of.layers] for name in ("weight", "bias"))
    return network_pass(weights, biases, of.activations(inputs).pre, of.negative_slope)


def terms(widths: list[int], slope: float, bias: bool) -> tuple[MLP, MLP, Tensor, list[LayerTerms]]:
    student = network([2 * width for width in widths], slope, bias)
    teacher = network(widths, slope, bias, seed=5)
    inputs = torch.randn(2, SAMPLES, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return student, teacher, inputs, gradient_rule(passed(student, inputs), passed(teacher, inputs))


def upper_jacobian(of: MLP, layer: int, post: Tensor) -> Tensor:
    """The output's derivative by the outputs of a layer, sample by sample through autograd, (R, B, outputs, nodes)."""

    def upper(signal: Tensor) -> Tensor:
        for linear in of.layers[layer + 1 : -1]:
            signal = leaky_relu(linear(signal), of.negative_slope)
        return of.layers[-1](signal)

    samples = []
    for b in range(SAMPLES):
        jacobian = torch.func.jacrev(upper)(post[:, b : b + 1])  # (R, 1, outputs, R, 1, nodes)
        samples.append(torch.stack([jacobian[r, 0, :, r, 0] for r in range(2)]))
    return torch.stack(samples, dim=1)


@anywhere
def test_lemma_1_gives_minus_the_gradient_at_every_layer(widths: list[int], slope: float, bias: bool) -> None:
    student, teacher, inputs, layers = terms(widths, slope, bias)
    activations = student.activations(inputs)
    loss = (
        0.5 * (teacher(inputs) - activations.output).square().sum()
    )  # a sum over samples: each keeps its own gradient
    gradients = torch.autograd.grad(loss, activations.pre)
    for layer, gradient in zip(layers, gradients, strict=True):
        torch.testing.assert_close(layer.g, -gradient, rtol=0, atol=1e-9)
        as_written = layer.A @ layer.teacher_post.unsqueeze(-1) - layer.B @ layer.post.unsqueeze(-1)
        torch.testing.assert_close((layer.gate * as_written.squeeze(-1))[..., :-1], -gradient, rtol=0, atol=1e-9)


@anywhere
def test_jacobians_and_mean_products_equal_those_of_autograd(widths: list[int], slope: float, bias: bool) -> None:
    student, teacher, inputs, layers = terms(widths, slope, bias)
    for number, layer in enumerate(layers):
        V = upper_jacobian(student, number, student.activations(inputs).post[number])
        V_teacher = upper_jacobian(teacher, number, teacher.activations(inputs).post[number])
        torch.testing.assert_close(layer.V[..., :-1].expand_as(V), V, rtol=0, atol=1e-9)
        torch.testing.assert_close(layer.V_teacher[..., :-1].expand_as(V_teacher), V_teacher, rtol=0, atol=1e-9)
        for r in range(2):
            mean_A = sum(V[r, b].T @ V_teacher[r, b] for b in range(SAMPLES)) / SAMPLES
            mean_B = sum(V[r, b].T @ V[r, b] for b in range(SAMPLES)) / SAMPLES
            torch.testing.assert_close(layer.mean_A[r, :-1, :-1], mean_A, rtol=0, atol=1e-9)
            torch.testing.assert_close(layer.mean_B[r, :-1, :-1], mean_B, rtol=0, atol=1e-9)
        torch.testing.assert_close(layer.mean_A, layer.A.mean(dim=1))
        torch.testing.assert_close(layer.mean_B, layer.B.mean(dim=1))


@anywhere
def test_the_constant_unit_carries_the_biases(widths: list[int], slope: float, bias: bool) -> None:
    student, _, inputs, layers = terms(widths, slope, bias)
    for layer in layers:
        whole_output = (layer.V @ layer.post.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(whole_output, student(inputs), rtol=0, atol=1e-9)


@anywhere
def test_the_short_ways_agree_with_the_rule(widths: list[int], slope: float, bias: bool) -> None:
    student, teacher, inputs, layers = terms(widths, slope, bias)
    activations = student.activations(inputs)
    weights = [layer.weight for layer in student.layers]
    gates = [gate(pre, slope) for pre in activations.pre]
    error = backpropagated_error(weights, gates, teacher(inputs) - activations.output)
    torch.testing.assert_close(error, layers[0].g, rtol=0, atol=1e-9)
    for diagonal, layer in zip(mean_beta_diagonals(weights, gates), layers, strict=True):
        torch.testing.assert_close(diagonal, layer.mean_B.diagonal(dim1=-2, dim2=-1)[:, :-1], rtol=0, atol=1e-9)
