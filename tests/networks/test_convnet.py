from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import nn

from tsl.errors import InputError
from tsl.networks import (
    MLP,
    AdversarialInitialization,
    ConvNet,
    DeepSeparableInitialization,
    DefaultInitialization,
    GaussianInitialization,
    Initialization,
    PerturbedTeacher,
    ReplicatedConv2d,
    SeparableInitialization,
    condition,
    normalize_weights_,
)
from tsl.randomness import replicate_generators


def of_torch(made: ConvNet, r: int) -> nn.Sequential:
    """Replicate r as torch's own layers."""
    layers: list[nn.Module] = []
    for number, (layer, channels) in enumerate(zip(made.layers, [made.input_shape[0], *made.widths], strict=True)):
        if number == len(made.widths):
            own: nn.Module = nn.Linear(layer.weight.shape[2], made.output_dim, bias=made.bias)
            layers.append(nn.Flatten())
        else:
            geometry = layer.weight.shape[-1], layer.stride, layer.padding
            own = nn.Conv2d(channels, layer.weight.shape[1], *geometry, bias=made.bias)
        own.double().load_state_dict({name: values[r] for name, values in layer.state_dict().items()})
        layers.append(own)
        if number < len(made.widths):
            block: list[nn.Module] = [nn.LeakyReLU(made.negative_slope)]
            if made.batch_norm:
                norm = nn.BatchNorm2d(layer.weight.shape[1], affine=made.batch_norm_affine, dtype=torch.float64)
                state = {name: values[r] for name, values in made.norms[number].state_dict().items()}
                norm.load_state_dict(state, strict=False)
                block.insert(0 if made.batch_norm == "before" else 1, norm)
            layers += block
    return nn.Sequential(*layers).train(made.training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"replicates": 1},
        {"kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 0]},
        {"batch_norm": "before", "negative_slope": 0.1, "padding": 1, "stride": 2},
        {"batch_norm": "after", "batch_norm_affine": False, "bias": False},
        {"batch_norm": "after", "input_shape": [1, 7, 6]},
    ],
    ids=["one", "geometry", "before", "after", "grey"],
)
def test_a_network_equals_torch_one_replicate_at_a_time(
    make_convnet: Callable[..., ConvNet], settings: dict[str, Any], training: bool
) -> None:
    """Outputs, activations, gradients and running statistics, over two batches."""
    made = make_convnet(**({"replicates": 3} | settings)).train(training)
    references = [of_torch(made, r) for r in range(made.replicates)]
    for batch in range(2):
        drawn = torch.Generator().manual_seed(batch)
        inputs = torch.randn(made.replicates, 5, *made.input_shape, dtype=torch.float64, generator=drawn)
        activations = made.activations(inputs)
        made.zero_grad()
        activations.output.pow(3).sum().backward()
        for r, reference in enumerate(references):
            reference.zero_grad()
            signal, pre, post = inputs[r], [], []
            for module in reference:
                if isinstance(module, nn.LeakyReLU):
                    pre.append(signal)
                signal = module(signal)
                if isinstance(module, nn.BatchNorm2d if made.batch_norm == "after" else nn.LeakyReLU):
                    post.append(signal)
            signal.pow(3).sum().backward()
            torch.testing.assert_close(activations.output[r], signal, rtol=1e-11, atol=1e-11)
            for got, expected in zip([*activations.pre, *activations.post], [*pre, *post], strict=True):
                torch.testing.assert_close(got[r], expected, rtol=1e-11, atol=1e-11)
            theirs = [module for module in reference if isinstance(module, (nn.Conv2d, nn.Linear))]
            norms = [module for module in reference if isinstance(module, nn.BatchNorm2d)]
            for our, their in [*zip(made.layers, theirs, strict=True), *zip(made.norms, norms, strict=True)]:
                for name, parameter in their.named_parameters():
                    torch.testing.assert_close(getattr(our, name).grad[r], parameter.grad, rtol=1e-9, atol=1e-9)
            for our_norm, their_norm in zip(made.norms, norms, strict=True):
                for name in ("running_mean", "running_var"):
                    torch.testing.assert_close(
                        getattr(our_norm, name)[r], getattr(their_norm, name), rtol=1e-12, atol=0
                    )


def test_replicate_r_among_others_equals_the_replicate_alone() -> None:
    def made(replicates: int, seed: int) -> ConvNet:
        network = ConvNet(replicates, input_shape=[3, 6, 6], widths=[4, 5], output_dim=2)
        DefaultInitialization()(network, replicate_generators("student", seed, replicates))
        return network

    inputs = torch.randn(3, 4, 3, 6, 6)
    for r in range(3):
        torch.testing.assert_close(made(3, 7)(inputs)[r], made(1, 7 + r)(inputs[r : r + 1])[0])


def test_maps_lie_channels_last_and_gradients_in_the_layout_of_the_weights(
    make_convnet: Callable[..., ConvNet],
) -> None:
    """Or every measure, and every step, would copy them once more."""
    made = make_convnet(replicates=2, batch_norm="after")
    activations = made.activations(torch.randn(2, 5, *made.input_shape, dtype=torch.float64))
    for maps in (*activations.pre, *activations.post):
        assert maps.movedim(2, -1).transpose(0, 1).movedim(1, -2).is_contiguous()
    activations.output.sum().backward()
    for layer in made.layers:
        assert layer.weight.grad is not None
        assert layer.weight.grad.stride() == layer.weight.stride()


def test_default_initialization_has_the_range_of_torch() -> None:
    made = ConvNet(2, input_shape=[3, 8, 8], widths=[50, 40], output_dim=10)
    DefaultInitialization()(made, replicate_generators("student", 0, 2))
    for layer, own in zip(made.layers, (nn.Conv2d(3, 50, 3), nn.Conv2d(50, 40, 3), nn.Linear(640, 10)), strict=True):
        for ours, theirs in ((layer.weight, own.weight), (layer.bias, own.bias)):
            bound = layer.weight[0, 0].numel() ** -0.5
            assert ours.abs().max() <= bound
            assert theirs.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_gaussian_initialization() -> None:
    made = ConvNet(2, input_shape=[3, 8, 8], widths=[50], output_dim=3)
    GaussianInitialization(std=[0.1, 0.2])(made, replicate_generators("student", 0, 2))
    assert made.layers[0].weight.std(dim=(1, 2, 3, 4)).tolist() == pytest.approx([0.1, 0.2], rel=0.1)


@pytest.mark.parametrize(
    "initialization",
    [
        SeparableInitialization(),
        DeepSeparableInitialization(),
        PerturbedTeacher(0.1),
        AdversarialInitialization(GaussianInitialization()),
    ],
)
def test_an_initialization_of_mlps(initialization: Initialization, make_convnet: Callable[..., ConvNet]) -> None:
    made = make_convnet()
    with pytest.raises(InputError, match=r"student_initialization\) is for tsl.networks.MLP, not for ConvNet: choose"):
        initialization(made, replicate_generators("student", 0, 2), made)


def test_conditioning_is_of_mlps(make_convnet: Callable[..., ConvNet]) -> None:
    with pytest.raises(InputError, match=r"conditioning is for .* model.init_args.condition_teacher: false"):
        condition(make_convnet(), torch.zeros(2, 5, 3, 8, 8))


def test_normalized_kernels_have_unit_norm_with_their_bias(make_convnet: Callable[..., ConvNet]) -> None:
    made = make_convnet()
    normalize_weights_(made)
    for layer in made.layers[:-1]:
        squares = layer.weight.square().sum(dim=(2, 3, 4)) + layer.bias.square()
        torch.testing.assert_close(squares, torch.ones_like(squares))


def test_a_student_has_all_options_of_its_teacher_but_those_changed() -> None:
    options: dict[str, Any] = {
        "input_shape": [2, 9, 9],
        "output_dim": 4,
        "kernel_size": [3, 2],
        "stride": 2,
        "padding": [1, 0],
        "bias": False,
        "negative_slope": 0.2,
        "batch_norm": "after",
        "batch_norm_affine": False,
        "dropout": 0.3,
    }
    teacher = ConvNet(3, widths=[4, 6], **options)
    for student in (teacher.widened(1.5), teacher.with_widths([6, 9])):
        assert {name: getattr(student, name) for name in options} == options
        assert (student.widths, student.replicates) == ([6, 9], 3)
    assert teacher.widened(2, batch_norm=None).batch_norm is None


def test_an_mlp_flattens_images() -> None:
    made = MLP(2, input_dim=12, widths=[4], output_dim=3)
    DefaultInitialization()(made, replicate_generators("student", 0, 2))
    images = torch.randn(2, 5, 3, 2, 2)
    assert torch.equal(made(images), made(images.flatten(2)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": []}, "widths is empty"),
        ({"input_shape": [32, 32]}, r"input_shape = \[32, 32\]: give channels, height and width"),
        ({"kernel_size": [3, 3, 3]}, r"kernel_size = \[3, 3, 3\] for 2 convolutions: give one number for all"),
        ({"stride": [1]}, r"stride = \[1\] for 2 convolutions"),
        ({"padding": 3}, "padding = 3 of convolution 1 is not less than its kernel_size = 3"),
        ({"input_shape": [3, 4, 8]}, "convolution 2 gets maps of 2 x 6, too small for its kernel_size = 3"),
    ],
)
def test_networks_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConvNet(**({"input_shape": [3, 8, 8], "widths": [4, 5], "output_dim": 2} | settings))


@pytest.mark.parametrize("place", ["before", "after"])
def test_batch_norm_wants_two_values_not_two_images(
    make_convnet: Callable[..., ConvNet], place: Literal["before", "after"]
) -> None:
    assert make_convnet(batch_norm=place)(torch.randn(2, 1, 3, 8, 8, dtype=torch.float64)).isfinite().all()


def test_a_convolution_of_many_replicates_is_in_its_own_layout() -> None:
    layer = ReplicatedConv2d(4, 3, 5, 3)
    assert layer.weight.shape == (4, 5, 3, 3, 3)
    assert layer.weight.movedim(2, -1).is_contiguous()
