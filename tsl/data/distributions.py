"""Input distributions: one class for each, chosen by `class_path` in a config.

This file has the distributions with independent coordinates. `tsl.data.structured_distributions` has those whose
coordinates depend on one another, and `tsl.data.tensor_file` reads your own inputs from a file. `std` is always the
standard deviation of a coordinate.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from jsonargparse.typing import PositiveFloat
from torch import Generator, Tensor

from tsl.errors import InputError
from tsl.replicates import PerReplicate

KEY = "data.init_args.distribution.init_args"
"""The key of a distribution's arguments in config.yaml, for messages."""

BLOCK = 2**20
"""Numbers in a block. With blocks, temporary tensors stay small and threads rarely wait for each other."""


class InputDistribution(ABC):
    """A distribution of synthetic inputs.

    Attributes:
        finite: Whether there is only a fixed number of different inputs, so that two draws may share some of them.
    """

    finite: ClassVar[bool] = False

    @abstractmethod
    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `count` independent inputs, `[count, dim]`, from a CPU generator.

        Inputs are drawn in float64 and later rounded to the Trainer's precision, so a seed gives the same inputs in
        every precision. All randomness must come from the generator, except for what training and evaluation inputs
        share. An argument of type `tsl.replicates.PerReplicate` must be an attribute of the same name; here this
        attribute is the value of one replicate.
        """


class Gaussian(InputDistribution):
    """N(0, std²) in every coordinate, independently.

    Args:
        std: Standard deviation of a coordinate, or a list of them that repeats along the replicates; the paper's
            two-layer experiments use 1.5, its deep ones 10.
    """

    def __init__(self, std: PerReplicate[PositiveFloat] = 1.0) -> None:
        self.std: Any = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        return torch.randn(count, dim, generator=generator, dtype=torch.float64).mul_(self.std)


class Uniform(InputDistribution):
    """Uniform on [−√3 std, √3 std) in every coordinate, independently.

    Args:
        std: Standard deviation of a coordinate.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        edge = math.sqrt(3) * self.std
        return torch.empty(count, dim, dtype=torch.float64).uniform_(-edge, edge, generator=generator)


class Laplace(InputDistribution):
    """Density exp(−|x| / b) / 2b in every coordinate, independently, with b = std / √2.

    Args:
        std: Standard deviation of a coordinate.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`, by inverting the distribution function; see the base class."""
        inputs = torch.empty(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            block.uniform_(-1, 1, generator=generator)
            size = block.abs().clamp_(max=1 - 2**-53).neg_().log1p_()  # a draw of −1 would give log 0 = −∞
            torch.copysign(size, block, out=block).mul_(self.std / math.sqrt(2))
        return inputs


class StudentT(InputDistribution):
    """Student's t in every coordinate, independently. The fewer the degrees of freedom, the heavier the tails.

    Args:
        degrees_of_freedom: ν, at least 0.5, because draws with fewer may overflow float32. ν = 1 is the Cauchy
            distribution.
        std: Standard deviation of a coordinate; it exists only for ν > 2.
        scale: Factor on the standard t, instead of `std`; for ν > 2 the standard deviation is scale √(ν / (ν − 2)).

    Raises:
        InputError: If not exactly one of `std` and `scale` is given, or if `std` is given for ν ≤ 2.
    """

    def __init__(
        self, degrees_of_freedom: PositiveFloat, std: PositiveFloat | None = None, scale: PositiveFloat | None = None
    ) -> None:
        if degrees_of_freedom < 0.5:
            raise InputError(f"{KEY}.degrees_of_freedom = {degrees_of_freedom:g}: expected at least 0.5")
        if std is not None and degrees_of_freedom <= 2:
            raise InputError(
                f"{KEY}.std = {std:g}: with degrees_of_freedom = {degrees_of_freedom:g} ≤ 2 there is no standard "
                f"deviation; give {KEY}.scale instead"
            )
        if std is not None and scale is None:
            self.scale = std * math.sqrt(1 - 2 / degrees_of_freedom)
        elif scale is not None and std is None:
            self.scale = scale
        else:
            raise InputError(f"{KEY}.std and {KEY}.scale: expected exactly one of them; give one, leave out the other")
        self.degrees_of_freedom = degrees_of_freedom

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`, by √ν √(U^{−2/ν} − 1) cos 2πV of uniform U, V (Bailey 1994); see the base class."""
        inputs, nu = torch.empty(count, dim, dtype=torch.float64), self.degrees_of_freedom
        for block in row_blocks(inputs):
            block.uniform_(generator=generator).neg_().log1p_().mul_(-2 / nu).expm1_().mul_(nu).sqrt_()
            angle = torch.empty_like(block).uniform_(0, 2 * math.pi, generator=generator)
            block.mul_(angle.cos_()).mul_(self.scale)
        return inputs


class Rademacher(InputDistribution):
    """−std or std with probability ½ each in every coordinate, independently.

    Args:
        std: Standard deviation of a coordinate.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`, one random bit for each number; see the base class."""
        words = torch.empty(-(-count * dim // 64), dtype=torch.int64).random_(-(2**63), None, generator=generator)
        signs = (torch.arange(256)[:, None] >> torch.arange(8) & 1).double().mul_(2).sub_(1)  # of each byte's bits
        inputs = torch.empty(64 * len(words), dtype=torch.float64)
        octets = words.view(torch.uint8)
        for rows, block in zip(octets.split(BLOCK), inputs.view(-1, 8).split(BLOCK), strict=True):
            torch.index_select(signs * self.std, 0, rows.int(), out=block)
        return inputs[: count * dim].view(count, dim)


class LogNormal(InputDistribution):
    """exp(σ z) of standard normal z, times a factor, in every coordinate, independently.

    All inputs are positive and their mean is far from 0, at std / √(exp(σ²) − 1): 1.9 std for σ = 0.5, 0.76 std for
    σ = 1. This makes it a hard test for correlation measures.

    Args:
        sigma: σ, the standard deviation of a coordinate's logarithm, at most 5, because float32 cannot hold the
            smallest inputs of a larger σ.
        std: Standard deviation of a coordinate.

    Raises:
        InputError: If `sigma` is above 5.
    """

    def __init__(self, sigma: PositiveFloat = 0.5, std: PositiveFloat = 1.0) -> None:
        if sigma > 5:
            raise InputError(f"{KEY}.sigma = {sigma:g}: expected at most 5")
        self.sigma = sigma
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        variance = self.sigma**2
        factor = self.std / math.sqrt(math.expm1(variance) * math.exp(variance))
        inputs = torch.empty(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            block.normal_(0, self.sigma, generator=generator).exp_().mul_(factor)
        return inputs


def row_blocks(inputs: Tensor) -> Iterator[Tensor]:
    """Yield `[count, dim]` as views of a few rows each, to be filled in place."""
    yield from inputs.split(max(1, BLOCK // inputs.shape[1]))
