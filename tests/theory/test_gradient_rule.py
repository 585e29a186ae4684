import pytest
import torch

from tsl.networks import MLP, GaussianInitialization
from tsl.randomness import replicate_generators
from tsl.theory.gradient_rule import backpropagated_error, gate, mean_beta_diagonals


def deep(widths: list[int], slope: float) -> MLP:
    network = MLP(2, input_dim=5, widths=widths, output_dim=3, negative_slope=slope).double()
    GaussianInitialization(std=0.7)(network, replicate_generators("student", 0, 2))
    return network


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("widths", [[4], [4, 6, 7]])
def test_backpropagated_error_is_minus_the_gradient_at_the_lowest_pre_activations(
    widths: list[int], slope: float
) -> None:
    network = deep(widths, slope)
    inputs, target = torch.randn(2, 9, 5, dtype=torch.float64), torch.randn(2, 9, 3, dtype=torch.float64)
    activations = network.activations(inputs)
    loss = 0.5 * (target - activations.output).square().sum()  # a sum over samples: each keeps its own gradient
    [gradient] = torch.autograd.grad(loss, activations.pre[0])
    gates = [gate(pre, slope) for pre in activations.pre]
    error = backpropagated_error([layer.weight for layer in network.layers], gates, target - activations.output)
    torch.testing.assert_close(error, -gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("widths", [[4], [4, 6, 7]])
def test_beta_diagonals_equal_per_sample_jacobians(widths: list[int], slope: float) -> None:
    network = deep(widths, slope)
    inputs = torch.randn(2, 9, 5, dtype=torch.float64)
    activations = network.activations(inputs)
    gates = [gate(pre, slope) for pre in activations.pre]
    diagonals = mean_beta_diagonals([layer.weight for layer in network.layers], gates)
    for layer, (post, diagonal) in enumerate(zip(activations.post, diagonals, strict=True)):

        def upper(signal: torch.Tensor, layer: int = layer) -> torch.Tensor:
            for linear in network.layers[layer + 1 : -1]:
                signal = torch.nn.functional.leaky_relu(linear(signal), slope)
            return network.layers[-1](signal)

        expected = torch.zeros_like(diagonal)
        for b in range(9):
            jacobian = torch.func.jacrev(upper)(post[:, b : b + 1])  # (R, 1, outputs, R, 1, nodes)
            for r in range(2):
                expected[r] += jacobian[r, 0, :, r, 0].square().sum(dim=0) / 9
        torch.testing.assert_close(diagonal, expected, rtol=1e-10, atol=1e-12)
