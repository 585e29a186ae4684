from typing import Any

import numpy as np
import pytest
import torch

from tsl.errors import InputError
from tsl.networks import MLP, GaussianInitialization
from tsl.randomness import replicate_generators


def network(replicates: int = 3, **settings: object) -> MLP:
    made = MLP(replicates, **({"input_dim": 5, "widths": [4, 7], "output_dim": 2} | settings)).double()
    GaussianInitialization(std=1.0)(made, replicate_generators("student", 0, replicates))
    for layer in made.layers:
        if layer.bias is not None:
            torch.nn.init.normal_(layer.bias)
    return made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_every_activation_equals_numpy_one_replicate_and_one_layer_at_a_time(bias: bool, slope: float) -> None:
    made = network(bias=bias, negative_slope=slope)
    inputs = torch.randn(3, 11, 5, dtype=torch.float64)
    activations = made.activations(inputs)
    assert torch.equal(activations.output, made(inputs))
    for r in range(3):
        signal = inputs[r].numpy()
        for number, layer in enumerate(made.layers):
            signal = signal @ layer.weight[r].detach().numpy().T
            if bias:
                signal = signal + layer.bias[r].detach().numpy()
            if number == 2:
                np.testing.assert_allclose(activations.output[r].detach(), signal, rtol=1e-12)
                break
            np.testing.assert_allclose(activations.pre[number][r].detach(), signal, rtol=1e-12, atol=1e-14)
            signal = np.where(signal > 0, signal, slope * signal)
            np.testing.assert_allclose(activations.post[number][r].detach(), signal, rtol=1e-12, atol=1e-14)


def test_gradients_equal_those_of_separate_torch_networks() -> None:
    made = network()
    inputs = torch.randn(3, 11, 5, dtype=torch.float64)
    made(inputs).square().sum().backward()
    for r in range(3):
        layers: list[torch.nn.Module] = []
        for layer in made.layers:
            linear = torch.nn.Linear(layer.weight.shape[2], layer.weight.shape[1], dtype=torch.float64)
            linear.weight.data, linear.bias.data = layer.weight[r].detach().clone(), layer.bias[r].detach().clone()
            layers += [linear, torch.nn.ReLU()]
        torch.nn.Sequential(*layers[:-1])(inputs[r]).square().sum().backward()
        for layer, linear in zip(made.layers, layers[::2], strict=True):
            torch.testing.assert_close(layer.weight.grad[r], linear.weight.grad, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(layer.bias.grad[r], linear.bias.grad, rtol=1e-12, atol=1e-12)


def test_gradients_arrive_in_the_layout_of_the_weights() -> None:
    """Otherwise autograd copies every gradient once more."""
    made = network()
    made(torch.randn(3, 11, 5, dtype=torch.float64)).sum().backward()
    for layer in made.layers:
        assert layer.weight.grad.stride() == layer.weight.stride()


def test_widened_multiplies_hidden_layers_only_and_keeps_the_kind() -> None:
    wide = network(bias=False, negative_slope=0.2).widened(2.5 - 0.5)
    assert (wide.input_dim, wide.widths, wide.output_dim) == (5, [8, 14], 2)
    assert (wide.bias, wide.negative_slope, wide.replicates) == (False, 0.2, 3)


def test_a_student_has_all_options_of_its_teacher_but_those_changed() -> None:
    options = {"bias": False, "negative_slope": 0.2, "batch_norm": "after", "batch_norm_affine": False, "dropout": 0.3}
    teacher = network(**options)
    changes = {"bias": True, "negative_slope": 0.0, "batch_norm": "before", "batch_norm_affine": True, "dropout": 0.1}
    for student in (teacher.widened(2), teacher.with_widths([8, 14])):
        assert {name: getattr(student, name) for name in options} == options
    for name, value in changes.items():
        for student in (teacher.widened(2, **{name: value}), teacher.with_widths([8, 14], **{name: value})):
            assert {other: getattr(student, other) for other in options} == options | {name: value}
            assert (student.input_dim, student.widths, student.output_dim, student.replicates) == (5, [8, 14], 2, 3)


@pytest.mark.parametrize("multiplier", [1.3, 0.1])
def test_multiplier_without_whole_nodes(multiplier: float) -> None:
    with pytest.raises(
        InputError,
        match=r"student.init_args.multiplier = .* gives whole numbers for the teacher's \[4, 7\]",
    ):
        network().widened(multiplier)


def test_no_hidden_layer() -> None:
    with pytest.raises(InputError, match="widths is empty"):
        network(widths=[])


@pytest.mark.parametrize("batch_norm", [None, "before", "after"])
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("widths", [[7], [7, 5, 6]])
@pytest.mark.parametrize("bias", [True, False])
def test_the_lowest_error_is_that_of_autograd(widths: list[int], slope: float, bias: bool, batch_norm: Any) -> None:
    made = MLP(
        2, input_dim=4, widths=widths, output_dim=3, bias=bias, negative_slope=slope, batch_norm=batch_norm
    ).double()
    torch.manual_seed(0)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    for norm in made.norms:
        norm.running_mean.normal_()
    made.eval()
    inputs, targets = torch.randn(2, 9, 4).double(), torch.randn(2, 9, 3).double()
    activations = made.activations(inputs)
    [gradient] = torch.autograd.grad(0.5 * (targets - activations.output).square().sum(), activations.pre[0])
    error = (targets - activations.output).detach()
    torch.testing.assert_close(made.lowest_error(activations, error), -gradient)
