"""What is told of convolutional networks beside their activations, against autograd and loops."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.func import jacrev, vmap

from tsl.errors import InputError
from tsl.networks import ConvNet
from tsl.networks.convnet import some_images
from tsl.networks.hyperplanes import hyperplanes

SETTINGS: list[dict[str, Any]] = [
    {},
    {"kernel_size": [3, 2], "stride": [1, 2], "padding": [1, 0], "negative_slope": 0.1},
    {"activation": "erf"},
    {"batch_norm": "before", "padding": 1, "stride": 2, "input_shape": [2, 7, 8]},
    {"batch_norm": "after", "widths": [3, 4, 2], "bias": False},
]
settings = pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "geometry", "erf", "before", "after"])


def from_layer(network: ConvNet, layer: int, maps: torch.Tensor, r: int) -> torch.Tensor:
    """The output of replicate r for the outputs of the activation of hidden layer `layer`, one image `[C, H, W]`."""
    signal = maps.expand(network.replicates, 1, *maps.shape)
    for number in range(layer, len(network.widths)):
        if number > layer:
            signal = network.layers[number](signal)
            signal = network.norms[number](signal) if network.batch_norm == "before" else signal
            signal = network.activation(signal)
        signal = network.norms[number](signal) if network.batch_norm == "after" else signal
    return network.layers[-1](signal)[r, 0]


def jacobians(network: ConvNet, pre: torch.Tensor, layer: int) -> torch.Tensor:
    """V_l of every image by torch.func, `[R, B, outputs, C, H, W]`."""
    post = network.activation(pre)
    return torch.stack(
        [
            vmap(jacrev(lambda maps, r=r: from_layer(network, layer, maps, r)), randomness="error")(post[r])
            for r in range(network.replicates)
        ]
    ).detach()


def made_with_activations(make: Callable[..., ConvNet], settings: dict[str, Any], images: int) -> Any:
    network = make(**settings).eval()
    inputs = torch.randn(2, images, *network.input_shape, dtype=torch.float64)
    return network, inputs, network.activations(inputs)


@settings
def test_output_gradients_equal_jacobians(make_convnet: Callable[..., ConvNet], settings: dict[str, Any]) -> None:
    network, _, activations = made_with_activations(make_convnet, settings, images=3)
    signals = torch.randn_like(activations.output)
    for layer, gradient in enumerate(network.output_gradients(activations, signals)):
        V = jacobians(network, activations.pre[layer], layer)
        expected = torch.einsum("rbochw,rbo->rbchw", V, signals)
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


@settings
def test_strengths_are_what_probes_mean(make_convnet: Callable[..., ConvNet], settings: dict[str, Any]) -> None:
    """Over every vector of signs, the mean of the estimate is β_kk itself; a drawn one lies around it."""
    network, _, activations = made_with_activations(make_convnet, settings, images=4)
    signs = [torch.tensor(signs, dtype=torch.float64) for signs in itertools.product([-1.0, 1.0], repeat=3)]
    estimates = [network.output_gradients(activations, v.expand_as(activations.output)) for v in signs]
    generator = torch.Generator().manual_seed(0)
    drawn = [network.squared_strengths(activations, generator) for _ in range(400)]
    for layer, width in enumerate(network.widths):
        beta = jacobians(network, activations.pre[layer], layer).square().sum(dim=2).mean(dim=(1, 3, 4))
        assert beta.shape == (2, width)
        over_signs = torch.stack([estimate[layer].square().mean(dim=(1, 3, 4)) for estimate in estimates]).mean(dim=0)
        torch.testing.assert_close(over_signs, beta)
        top = layer == len(network.widths) - 1
        mean = torch.stack([strengths[layer] for strengths in drawn]).mean(dim=0)
        torch.testing.assert_close(mean, beta, rtol=1e-10 if top else 0.15, atol=0)


@settings
def test_the_lowest_error_is_minus_the_gradient_of_the_squared_error(
    make_convnet: Callable[..., ConvNet], settings: dict[str, Any]
) -> None:
    network, inputs, _ = made_with_activations(make_convnet, settings, images=5)
    target = torch.randn(2, 5, 3, dtype=torch.float64)
    activations = network.activations(inputs)
    loss = (target - activations.output).square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, activations.pre[0])
    error = (target - activations.output).detach()
    torch.testing.assert_close(network.lowest_error(activations, error), -gradient, rtol=1e-10, atol=1e-12)


def test_the_lowest_error_of_a_large_batch_is_of_some_of_its_images(make_convnet: Callable[..., ConvNet]) -> None:
    network, _, activations = made_with_activations(make_convnet, {}, images=50)
    error = torch.randn_like(activations.output)
    whole = network.output_gradients(activations, error)[0] * network.activation.gate(activations.pre[0])
    assert some_images(50) == slice(None, None, 3)
    torch.testing.assert_close(network.lowest_error(activations, error), whole[:, ::3])


@pytest.mark.parametrize(("count", "taken"), [(1, 1), (16, 16), (31, 31), (32, 16), (500, 32), (10_000, 625)])
def test_one_image_in_sixteen_but_not_fewer_than_sixteen(count: int, taken: int) -> None:
    assert len(range(count)[some_images(count)]) == taken


def test_a_channel_is_active_by_any_outgoing_weight(make_convnet: Callable[..., ConvNet]) -> None:
    network = make_convnet(widths=[4, 5])
    positions = 4 * 4
    with torch.no_grad():
        network.layers[1].weight[0, :, 2] = 0
        network.layers[1].weight[1, :, 3] = 0
        network.layers[1].weight[1, 4, 3, 2, 1] = 1e-9  # one entry of one kernel
        network.layers[2].weight[0, :, positions : 2 * positions] = 0
        network.layers[2].weight[1, :, : 2 * positions] = 0
        network.layers[2].weight[1, 2, positions - 1] = -1e-9
    first, second = network.active_nodes()
    assert first.tolist() == [[True, True, False, True], [True] * 4]
    assert second.tolist() == [[True, False, True, True, True], [True, False, True, True, True]]


@pytest.mark.parametrize("place", [None, "before", "after"])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1)])
def test_hyperplanes_are_where_the_lowest_pre_activations_are_zero(
    make_convnet: Callable[..., ConvNet], place: Any, stride: int, padding: int
) -> None:
    network = make_convnet(widths=[4], batch_norm=place, stride=stride, padding=padding).eval()
    inputs = torch.randn(2, 1, 3, 8, 8, dtype=torch.float64)
    pre = network.activations(inputs).pre[0].detach().flatten(1)
    planes = hyperplanes(network, [3, 8, 8])
    node = torch.arange(planes.nodes).expand(2, -1)
    normal, offset = planes.of(node)
    height = (normal @ inputs.flatten(1).unsqueeze(-1)).squeeze(-1) + offset
    torch.testing.assert_close(normal.norm(dim=-1), torch.ones_like(offset))
    assert (height.sign() == pre.sign()).all()
    ratio = pre / height  # ‖w‖ of a channel's kernel, cut at the borders
    assert (ratio > 0).all()
    if padding == 0:
        torch.testing.assert_close(ratio, ratio.view(2, 4, -1)[..., :1].expand(2, 4, 36).flatten(1))


def test_hyperplanes_of_images_of_another_shape(make_convnet: Callable[..., ConvNet]) -> None:
    with pytest.raises(InputError, match=r"shape \[3, 9, 8\], 216 numbers, the teacher takes \[3, 8, 8\]"):
        hyperplanes(make_convnet(), [3, 9, 8])
