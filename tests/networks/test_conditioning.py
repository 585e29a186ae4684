from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.networks import MLP, DeepSeparableInitialization, condition
from tsl.randomness import replicate_generators

Make = Callable[..., MLP]


def gaussian(samples: int, replicates: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    return 10 * torch.randn(replicates, samples, 5, generator=drawn, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("samples", [200, 201])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_conditioning_equals_numpy_one_layer_at_a_time(make_network: Make, samples: int, slope: float) -> None:
    made, inputs = make_network(widths=[6, 7], negative_slope=slope), gaussian(samples)
    before = {name: values.clone().numpy() for name, values in made.state_dict().items()}
    condition(made, inputs, chunk=4)
    for r in range(2):
        signal = inputs[r].numpy()
        for number, layer in enumerate(made.layers):
            weight, bias = (before[f"layers.{number}.{name}"][r] for name in ("weight", "bias"))
            pre = signal @ weight.T + bias
            if number < 2:
                median = np.median(pre, axis=0)
                np.testing.assert_allclose(layer.bias[r].detach(), bias - median, atol=1e-10)
                np.testing.assert_array_equal(layer.weight[r].detach(), weight)
                signal = np.where(pre > median, pre - median, slope * (pre - median))
            else:
                mean, std = pre.mean(axis=0), pre.std(axis=0)
                np.testing.assert_allclose(layer.weight[r].detach(), weight / std[:, None], rtol=1e-10)
                np.testing.assert_allclose(layer.bias[r].detach(), (bias - mean) / std, atol=1e-10)


def test_without_the_last_step_the_output_layer_stays_as_it_was(make_network: Make) -> None:
    part, whole, drawn = (make_network(widths=[6, 7]) for _ in range(3))
    fractions = condition(part, gaussian(200), output_layer=False)
    assert all(torch.equal(*pair) for pair in zip(fractions, condition(whole, gaussian(200)), strict=True))
    for hidden, as_in_whole in zip(part.layers[:-1], whole.layers[:-1], strict=True):
        assert torch.equal(hidden.bias, as_in_whole.bias)
    assert torch.equal(part.layers[-1].weight, drawn.layers[-1].weight)
    assert torch.equal(part.layers[-1].bias, drawn.layers[-1].bias)
    assert not torch.equal(part.layers[-1].weight, whole.layers[-1].weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "settings",
    [
        *({}, {"batch_norm": "before"}, {"batch_norm": "after", "batch_norm_affine": False}),
        *({"activation": name} for name in ("erf", "tanh", "sigmoid", "linear")),
    ],
)
def test_every_node_is_active_on_half_of_the_inputs(
    make_network: Make, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    """Counted by what the network itself computes, in the paper's deep widths; outputs have mean 0 and variance 1."""
    made = make_network(widths=[50, 75, 100, 125], output_dim=10, **settings).eval()
    DeepSeparableInitialization(0.5)(made, replicate_generators("teacher", 0, 2))
    made, inputs = made.to(dtype), gaussian(4001, dtype=dtype)
    fractions = condition(made, inputs)
    activations = made.activations(inputs)
    for pre, fraction in zip(activations.pre, fractions, strict=True):
        counts = (pre.detach().numpy() > 0).sum(axis=1)
        np.testing.assert_allclose(fraction.numpy(), counts / 4001, atol=1.01 / 4001)  # the median one by rounding
        assert np.abs(counts / 4001 - 0.5).max() <= 1 / 4001
    output = activations.output.detach().double().numpy()
    np.testing.assert_allclose(output.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(output.var(axis=1), 1, rtol=1e-5)


def test_outputs_that_overflow_are_refused(make_network: Make) -> None:
    made = make_network(widths=[50, 75, 100, 125], activation="quadratic").float()
    DeepSeparableInitialization(0.5)(made, replicate_generators("teacher", 0, 2))
    with pytest.raises(InputError, match=r"outputs are so large .* overflows: take trainer.precision: 64-true"):
        condition(made, gaussian(50, dtype=torch.float32))


@pytest.mark.parametrize("place", ["before", "after"])
def test_running_statistics_are_those_of_the_inputs(make_network: Make, place: str) -> None:
    """By the statistics of what torch's BatchNorm1d would see, layer by layer."""
    made, inputs = make_network(batch_norm=place).eval(), gaussian(300)
    old_biases = [layer.bias.detach().clone() for layer in made.layers]
    condition(made, inputs)
    for r in range(2):
        signal = inputs[r]
        for number, norm in enumerate(made.norms):
            layer = made.layers[number]
            affine = signal @ layer.weight[r].detach().T + (old_biases[number] if place == "before" else layer.bias)[r]
            seen = affine.detach() if place == "before" else affine.detach().relu()
            np.testing.assert_allclose(norm.running_mean[r], seen.mean(dim=0), rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(norm.running_var[r], seen.numpy().var(axis=0, ddof=1), rtol=1e-9)
            signal = made.activations(inputs).post[number][r].detach()


def test_replicate_r_among_many_is_the_replicate_alone(make_network: Make) -> None:
    many, inputs = make_network(replicates=3, batch_norm="after"), gaussian(100, replicates=3)
    state = {name: values.clone() for name, values in many.state_dict().items()}
    condition(many, inputs)
    for r in range(3):
        alone = make_network(replicates=1, batch_norm="after")
        alone.load_state_dict({name: values[r : r + 1] for name, values in state.items()})
        condition(alone, inputs[r : r + 1])
        for a, b in zip(many.state_dict().values(), alone.state_dict().values(), strict=True):
            assert torch.equal(a[r], b[0])


def test_what_cannot_be_conditioned_is_named(make_network: Make) -> None:
    with pytest.raises(InputError, match=r"model.init_args.teacher.init_args.bias to true"):
        condition(make_network(bias=False), gaussian(20))
    dead, idle = make_network(), make_network()
    with torch.no_grad():
        dead.layers[1].weight[1, 2] = 0
        idle.layers[2].weight[0, 1] = 0
    with pytest.raises(InputError, match="a node of hidden layer 2 of replicate 1 does not vary over the inputs"):
        condition(dead, gaussian(20))
    with pytest.raises(InputError, match="an output of replicate 0 does not vary over the inputs"):
        condition(idle, gaussian(20))


def test_replicates_may_be_conditioned_on_different_numbers_of_inputs(make_network: Make) -> None:
    many, inputs = make_network(widths=[6, 7]), [gaussian(samples)[r] for r, samples in enumerate((50, 201))]
    fractions = condition(many, inputs)
    for r in range(2):
        other = make_network(widths=[6, 7])
        of_other = condition(other, inputs[r].expand(2, -1, -1))
        for name, values in many.state_dict().items():
            torch.testing.assert_close(values[r], other.state_dict()[name][r], rtol=0, atol=1e-12)
        assert all(torch.equal(a[r], b[r]) for a, b in zip(fractions, of_other, strict=True))
