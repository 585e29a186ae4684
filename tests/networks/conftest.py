from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

from tsl.networks import MLP, ConvNet, DefaultInitialization, FeedForward
from tsl.randomness import replicate_generators

Made = TypeVar("Made", bound=FeedForward)


def randomized(made: Made, seed: int) -> Made:
    """Fill a network in place."""
    DefaultInitialization()(made, replicate_generators("student", seed, made.replicates))
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in made.norms:
            for values in norm.state_dict().values():
                values.copy_(torch.rand(values.shape, generator=drawn, dtype=torch.float64) + 0.2)
            if norm.weight is not None:
                norm.weight[:, 0] *= -1  # a scale may be negative
    return made


@pytest.fixture
def make_network() -> Callable[..., MLP]:
    """A network of 5 inputs and 3 outputs in float64 with everything random: weights, biases and BatchNorm."""

    def make(replicates: int = 2, seed: int = 0, **settings: Any) -> MLP:
        settings = {"input_dim": 5, "widths": [4, 7], "output_dim": 3} | settings
        made = MLP(replicates, **settings).double()
        return randomized(made, seed)

    return make


@pytest.fixture
def make_convnet() -> Callable[..., ConvNet]:
    """A convolutional network on 3 x 8 x 8 in float64 with everything random: weights, biases and BatchNorm."""

    def make(replicates: int = 2, seed: int = 0, **settings: Any) -> ConvNet:
        settings = {"input_shape": [3, 8, 8], "widths": [4, 5], "output_dim": 3} | settings
        made = ConvNet(replicates, **settings).double()
        return randomized(made, seed)

    return make
