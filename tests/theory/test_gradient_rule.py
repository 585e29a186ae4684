from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.networks import MLP, GaussianInitialization, effective_layers, squared_strengths
from tsl.randomness import replicate_generators
from tsl.theory.gradient_rule import (
    LayerTerms,
    NetworkPass,
    backpropagated_error,
    gradient_rule,
    mean_beta_diagonals,
    network_pass,
)

SAMPLES = 9
anywhere = pytest.mark.parametrize(
    ("widths", "slope", "options"),
    [
        ([4], 0.0, {}),
        ([4, 6, 7], 0.0, {}),
        ([4, 6, 7], 0.1, {}),
        ([4, 6], 0.2, {"bias": False}),
        ([4], 0.0, {"batch_norm": "after"}),
        ([4], 0.0, {"activation": "erf"}),
        ([4], 0.0, {"activation": "quadratic", "batch_norm": "before"}),
        ([4, 6], 0.0, {"activation": "linear"}),
        ([4, 6, 7], 0.0, {"batch_norm": "before"}),
        ([4, 6, 7], 0.1, {"batch_norm": "after"}),
        ([4, 6], 0.2, {"batch_norm": "before", "bias": False}),
        ([4, 6], 0.0, {"batch_norm": "after", "batch_norm_affine": False}),
    ],
)


def network(widths: list[int], slope: float, seed: int = 0, **options: Any) -> MLP:
    """In evaluation mode, its running statistics and what BatchNorm learned as random as the weights."""
    drawn = MLP(2, input_dim=5, widths=widths, output_dim=3, negative_slope=slope, **options).double().eval()
    GaussianInitialization(std=0.7)(drawn, replicate_generators("student", seed, 2))
    generator = torch.Generator().manual_seed(seed)
    for layer in drawn.layers:
        if layer.bias is not None:
            torch.nn.init.normal_(layer.bias, generator=generator)
    for norm in drawn.norms:
        for name, values in norm.state_dict().items():
            values.copy_(torch.randn(values.shape, generator=generator))
            if name == "running_var":
                values.abs_().add_(0.1)
    return drawn


def passed(of: MLP, inputs: Tensor) -> NetworkPass:
    weights, biases = zip(*effective_layers(of), strict=True)
    return network_pass(weights, biases, of.activations(inputs).pre, of.activation)


def terms(widths: list[int], slope: float, options: dict[str, Any]) -> tuple[MLP, MLP, Tensor, list[LayerTerms]]:
    student = network([2 * width for width in widths], slope, **options)
    teacher = network(widths, slope, seed=5, **options)
    inputs = torch.randn(2, SAMPLES, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return student, teacher, inputs, gradient_rule(passed(student, inputs), passed(teacher, inputs))


def upper_jacobian(of: MLP, layer: int, inputs: Tensor) -> Tensor:
    """The output's derivative by the activation's outputs of a layer, sample by sample, (R, B, outputs, nodes)."""

    def upper(signal: Tensor) -> Tensor:
        for number in range(layer, len(of.widths)):
            if number > layer:
                signal = of.layers[number](signal)
                if of.batch_norm == "before":
                    signal = of.norms[number](signal)
                signal = of.activation(signal)
            if of.batch_norm == "after":
                signal = of.norms[number](signal)
        return of.layers[-1](signal)

    post = of.activation(of.activations(inputs).pre[layer])
    samples = []
    for b in range(inputs.shape[1]):
        jacobian = torch.func.jacrev(upper)(post[:, b : b + 1])  # (R, 1, outputs, R, 1, nodes)
        samples.append(torch.stack([jacobian[r, 0, :, r, 0] for r in range(2)]))
    return torch.stack(samples, dim=1).detach()


@anywhere
def test_lemma_1_gives_minus_the_gradient_at_every_layer(
    widths: list[int], slope: float, options: dict[str, Any]
) -> None:
    student, teacher, inputs, layers = terms(widths, slope, options)
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
def test_jacobians_and_mean_products_equal_those_of_autograd(
    widths: list[int], slope: float, options: dict[str, Any]
) -> None:
    student, teacher, inputs, layers = terms(widths, slope, options)
    for number, layer in enumerate(layers):
        V = upper_jacobian(student, number, inputs)
        V_teacher = upper_jacobian(teacher, number, inputs)
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
def test_the_constant_unit_carries_the_biases(widths: list[int], slope: float, options: dict[str, Any]) -> None:
    student, _, inputs, layers = terms(widths, slope, options)
    for layer in layers:
        whole_output = (layer.V @ layer.post.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(whole_output, student(inputs), rtol=0, atol=1e-9)


@anywhere
def test_the_short_ways_agree_with_the_rule(widths: list[int], slope: float, options: dict[str, Any]) -> None:
    student, teacher, inputs, layers = terms(widths, slope, options)
    activations = student.activations(inputs)
    weights = [weight for weight, _ in effective_layers(student)]
    gates = [student.activation.gate(pre) for pre in activations.pre]
    error = backpropagated_error(weights, gates, teacher(inputs) - activations.output)
    torch.testing.assert_close(error, layers[0].g, rtol=0, atol=1e-9)
    for diagonal, layer in zip(mean_beta_diagonals(weights, gates), layers, strict=True):
        torch.testing.assert_close(diagonal, layer.mean_B.diagonal(dim1=-2, dim2=-1)[:, :-1], rtol=0, atol=1e-9)


@anywhere
@pytest.mark.parametrize("samples", [SAMPLES, 1])
def test_strengths_are_mean_squares_of_the_jacobian_of_every_sample(
    widths: list[int], slope: float, options: dict[str, Any], samples: int
) -> None:
    student = network(widths, slope, **options)
    inputs = torch.randn(2, samples, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    strengths = squared_strengths(student, student.activations(inputs))
    for layer, strength in enumerate(strengths):
        expected = upper_jacobian(student, layer, inputs).square().sum(dim=2).mean(dim=1)
        torch.testing.assert_close(strength, expected, rtol=1e-9, atol=1e-12)
    assert [strength.shape[1] for strength in strengths] == widths


def test_strengths_of_more_samples_than_are_taken_at_once() -> None:
    """Against the nodes × nodes products of a loop over samples, in widths at which a few samples are a block."""
    generator = torch.Generator().manual_seed(0)
    sizes = [20, 30, 500, 200, 100]
    weights = [torch.randn(1, n, d, generator=generator, dtype=torch.float64) for d, n in pairwise(sizes)]
    gates = [torch.randint(2, (1, 11, n), generator=generator).double() for n in sizes[1:-1]]
    sums = [torch.zeros(n, dtype=torch.float64) for n in sizes[1:-1]]
    for sample in range(11):
        B = weights[-1][0].T @ weights[-1][0]
        sums[-1] += B.diagonal()
        for layer in (1, 0):
            gated = gates[layer + 1][0, sample].diag() @ weights[layer + 1][0]
            B = gated.T @ B @ gated
            sums[layer] += B.diagonal()
    for given in (gates, gates[1:]):
        for got, total in zip(mean_beta_diagonals(weights, given), sums, strict=True):
            torch.testing.assert_close(got[0], total / 11, rtol=1e-12, atol=0)


@anywhere
def test_effective_layers_compute_the_network(widths: list[int], slope: float, options: dict[str, Any]) -> None:
    made = network(widths, slope, **options)
    inputs = torch.randn(2, SAMPLES, 5, dtype=torch.float64)
    activations = made.activations(inputs)
    layers = effective_layers(made)
    for r in range(2):
        signal = inputs[r]
        for number, (weight, bias) in enumerate(layers):
            signal = signal @ weight[r].T + bias[r]
            if number < len(widths):
                torch.testing.assert_close(signal, activations.pre[number][r], rtol=1e-11, atol=1e-11)
                signal = made.activation(signal)
        torch.testing.assert_close(signal, activations.output[r], rtol=1e-11, atol=1e-11)
    if not options.get("batch_norm"):
        assert all(weight is layer.weight for (weight, _), layer in zip(layers, made.layers, strict=True))


def test_strengths_and_errors_of_deep_smooth_networks_are_those_of_autograd() -> None:
    made = network([4, 6, 7], 0.0, activation="tanh")
    inputs = torch.randn(2, SAMPLES, 5, dtype=torch.float64)
    activations = made.activations(inputs)
    for layer, strength in enumerate(squared_strengths(made, activations)):
        expected = upper_jacobian(made, layer, inputs).square().sum(dim=2).mean(dim=1)
        torch.testing.assert_close(strength, expected, rtol=1e-9, atol=1e-12)
    target = torch.randn_like(activations.output)
    (gradient,) = torch.autograd.grad((target - activations.output).square().sum() / 2, activations.pre[0])
    error = made.lowest_error(activations, (target - activations.output).detach())
    torch.testing.assert_close(error, -gradient, rtol=1e-10, atol=1e-12)


def test_lemma_1_of_deep_smooth_networks_is_refused() -> None:
    made = network([4, 6], 0.0, activation="erf")
    with pytest.raises(InputError, match="but the network has erf in 2 hidden layers: set"):
        passed(made, torch.zeros(2, 1, 5, dtype=torch.float64))
