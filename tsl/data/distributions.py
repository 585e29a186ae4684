"""Input distributions: one class for each, chosen by `class_path` in a config."""

from abc import ABC, abstractmethod

import torch
from jsonargparse.typing import PositiveFloat
from torch import Generator, Tensor


class InputDistribution(ABC):
    """Where synthetic inputs come from."""

    @abstractmethod
    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `count` independent inputs, `[count, dim]`, in torch's default dtype, from a CPU generator."""


class Gaussian(InputDistribution):
    """N(0, std²) in every coordinate, independently.

    Args:
        std: Standard deviation of a coordinate; the paper's two-layer experiments use 1.5, its deep ones 10.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        return torch.randn(count, dim, generator=generator).mul_(self.std)
