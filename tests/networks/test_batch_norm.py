from collections.abc import Callable
from typing import Literal

import pytest
import torch

from tsl.errors import InputError
from tsl.networks import (
    MLP,
    AdversarialInitialization,
    DeepSeparableInitialization,
    DefaultInitialization,
    GaussianInitialization,
    Initialization,
    PerturbedTeacher,
    ReplicatedBatchNorm,
    SeparableInitialization,
)
from tsl.randomness import replicate_generators

Place = Literal["before", "after"]


def of_torch(norm: ReplicatedBatchNorm, r: int) -> torch.nn.BatchNorm1d:
    own = torch.nn.BatchNorm1d(norm.running_mean.shape[1], affine=norm.weight is not None, dtype=torch.float64)
    own.load_state_dict({name: values[r] for name, values in norm.state_dict().items()}, strict=False)
    return own.train(norm.training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_network_with_batch_norm_equals_torch_one_replicate_at_a_time(
    make_network: Callable[..., MLP], place: Place, affine: bool, training: bool
) -> None:
    """Outputs, activations, gradients and running statistics, over three batches."""
    made = make_network(replicates=3, batch_norm=place, batch_norm_affine=affine, negative_slope=0.1).train(training)
    references, kinds = [], []
    for r in range(3):
        layers: list[torch.nn.Module] = []
        kinds = []
        for number, layer in enumerate(made.layers):
            linear = torch.nn.Linear(layer.weight.shape[2], layer.weight.shape[1], dtype=torch.float64)
            linear.weight.data, linear.bias.data = layer.weight[r].detach().clone(), layer.bias[r].detach().clone()
            block = {"layer": linear}
            if number < 2:
                block["activation"] = torch.nn.LeakyReLU(0.1)
                block["norm"] = of_torch(made.norms[number], r)
                if place == "before":
                    block = {name: block[name] for name in ("layer", "norm", "activation")}
            layers += block.values()
            kinds += block
        references.append(torch.nn.Sequential(*layers))
    for batch in range(3):
        inputs = torch.randn(3, 11, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(batch))
        activations = made.activations(inputs)
        made.zero_grad()
        activations.output.pow(3).sum().backward()
        for r, reference in enumerate(references):
            reference.zero_grad()
            signal, pre, post = inputs[r], [], []
            for kind, module in zip(kinds, reference, strict=True):
                if kind == "activation":
                    pre.append(signal)
                signal = module(signal)
                if kind == ("activation" if place == "before" else "norm"):
                    post.append(signal)
            signal.pow(3).sum().backward()
            torch.testing.assert_close(activations.output[r], signal, rtol=1e-11, atol=1e-11)
            for got, expected in zip([*activations.pre, *activations.post], [*pre, *post], strict=True):
                torch.testing.assert_close(got[r], expected, rtol=1e-11, atol=1e-11)
            for kind, ours in (("layer", made.layers), ("norm", made.norms)):
                theirs = [module for name, module in zip(kinds, reference, strict=True) if name == kind]
                for our, their in zip(ours, theirs, strict=True):
                    for name, parameter in their.named_parameters():
                        gradient = getattr(our, name).grad[r]
                        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-9)
                    for name in ("running_mean", "running_var") if kind == "norm" else ():
                        torch.testing.assert_close(getattr(our, name)[r], getattr(their, name), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "initialization",
    [
        SeparableInitialization(),
        GaussianInitialization(),
        DeepSeparableInitialization(),
        DefaultInitialization(),
        PerturbedTeacher(0.1),
        AdversarialInitialization(GaussianInitialization()),
    ],
)
def test_an_initialization_starts_batch_norm_anew(
    make_network: Callable[..., MLP], initialization: Initialization
) -> None:
    made = make_network(batch_norm="after")
    initialization(made, replicate_generators("student", 0, 2), make_network())
    for norm in made.norms:
        for name, start in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
            assert (getattr(norm, name) == start).all()


def test_a_training_batch_of_one_sample(make_network: Callable[..., MLP]) -> None:
    made = make_network(batch_norm="after")
    one = torch.randn(2, 1, 5, dtype=torch.float64)
    with pytest.raises(InputError, match=r"data.init_args.batch_size = 1: BatchNorm needs a variance"):
        made(one)
    assert made.eval()(one).isfinite().all()
