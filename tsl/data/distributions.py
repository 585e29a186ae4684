"""Input distributions: one class for each, chosen by `class_path` in a config."""

from abc import ABC, abstractmethod

import torch
from jsonargparse.typing import PositiveFloat
from torch import Generator, Tensor


class InputDistribution(ABC):
    """Where synthetic inputs come from."""

    @abstractmethod
    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `count` independent inputs, `[count, dim]`, from a CPU generator.

        In float64, whatever the Trainer's precision they are then rounded to: a seed means the same inputs in each.
        """


class Gaussian(InputDistribution):
    """N(0, std²) in every coordinate, independently.

    Args:
        std: Standard deviation of a coordinate; the paper's two-layer experiments use 1.5, its deep ones 10.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        return torch.randn(count, dim, generator=generator, dtype=torch.float64).mul_(self.std)
