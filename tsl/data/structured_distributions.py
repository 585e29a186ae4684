"""Input distributions whose coordinates depend on one another.

What is random but the same for all inputs (centres, a rotation, a subspace) is drawn with a seed of its own, the
`structure_seed`. Training inputs, evaluation inputs and all replicates share it.
"""

import math

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor

from tsl.data.distributions import KEY, InputDistribution, row_blocks
from tsl.errors import InputError


class Sphere(InputDistribution):
    """Uniform on the sphere of radius std √d around 0.

    Args:
        std: Standard deviation of a coordinate.
    """

    def __init__(self, std: PositiveFloat = 1.0) -> None:
        self.std = std

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        inputs = torch.empty(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            block.normal_(generator=generator)
            block.mul_(self.std * math.sqrt(dim) / block.norm(dim=1, keepdim=True))
        return inputs


class GaussianMixture(InputDistribution):
    """A mixture of equally likely isotropic Gaussians of equal width around random centres.

    Every coordinate of the mixture has mean 0 and standard deviation `std`: std² = within² + between², with
    between = separation · within. Two centres are about √(2d) · separation · within apart.

    Args:
        components: Number of components, at least 2.
        std: Standard deviation of a coordinate of the whole mixture.
        separation: Standard deviation of the centres divided by that of a component, both of one coordinate.
        structure_seed: Seed of the centres, which training and evaluation inputs and all replicates share.

    Raises:
        InputError: If there are fewer than 2 components.
    """

    def __init__(
        self,
        components: PositiveInt,
        std: PositiveFloat = 1.0,
        separation: NonNegativeFloat = 1.0,
        structure_seed: NonNegativeInt = 0,
    ) -> None:
        if components < 2:
            raise InputError(
                f"{KEY}.components = {components}: expected 2 or more; for one component use tsl.data.Gaussian"
            )
        self.components = components
        self.within = std / math.sqrt(1 + separation**2)
        self.between = separation * self.within
        self.structure_seed = structure_seed

    def centres(self, dim: int) -> Tensor:
        """The centres, `[components, dim]`; every coordinate has mean 0 and standard deviation `between`."""
        centres = standard_normal(self.components, dim, self.structure_seed)
        centres -= centres.mean(dim=0)
        return centres.mul_(self.between / centres.square().mean(dim=0).sqrt())

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class."""
        centres = self.centres(dim)
        inputs = torch.empty(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            component = torch.randint(self.components, (len(block),), generator=generator)
            block.normal_(0, self.within, generator=generator).add_(centres[component])
        return inputs


class CorrelatedGaussian(InputDistribution):
    """N(0, Q Λ Qᵀ), with the eigenvalues Λ of a given shape and a random rotation Q.

    Args:
        spectrum: The eigenvalues up to a factor, one for each input dimension; or a number a for eigenvalues
            proportional to 1, 2⁻ᵃ, 3⁻ᵃ, …, d⁻ᵃ.
        std: Root mean square over coordinates of their standard deviations: the mean eigenvalue is std².
        structure_seed: Seed of the rotation, which training and evaluation inputs and all replicates share.

    Raises:
        InputError: If a list holds no positive number.
    """

    def __init__(
        self,
        spectrum: NonNegativeFloat | list[NonNegativeFloat] = 1.0,
        std: PositiveFloat = 1.0,
        structure_seed: NonNegativeInt = 0,
    ) -> None:
        if isinstance(spectrum, list) and not any(spectrum):
            raise InputError(f"{KEY}.spectrum = {spectrum}: expected at least one positive eigenvalue")
        self.spectrum = spectrum
        self.std = std
        self.structure_seed = structure_seed

    def covariance_root(self, dim: int) -> Tensor:
        """Λ^½ Qᵀ, `[dim, dim]`, whose Gram matrix is the covariance.

        Raises:
            InputError: If `spectrum` is a list whose length is not `dim`.
        """
        if isinstance(self.spectrum, list):
            if len(self.spectrum) != dim:
                raise InputError(
                    f"{KEY}.spectrum lists {len(self.spectrum)} eigenvalues for data.init_args.dim = {dim}: "
                    "list one for each input dimension, or give a number"
                )
            eigenvalues = torch.tensor(self.spectrum, dtype=torch.float64)
        else:
            eigenvalues = torch.arange(1, dim + 1, dtype=torch.float64) ** -self.spectrum
        root = eigenvalues.div_(eigenvalues.mean()).sqrt_().mul_(self.std)
        return root[:, None] * orthonormal_columns(dim, dim, self.structure_seed).mT

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class. Raises what `covariance_root` raises."""
        root = self.covariance_root(dim)
        inputs = torch.empty(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            block.copy_(block.normal_(generator=generator) @ root)
        return inputs


class LowDimensionalGaussian(InputDistribution):
    """An isotropic Gaussian in a random subspace of the input space, plus isotropic Gaussian noise in the whole space.

    Args:
        subspace_dim: Dimension k of the subspace, at most that of the inputs.
        std: Root mean square over coordinates of their standard deviations, noise included.
        noise_ratio: Standard deviation of the noise divided by that of the signal, both root mean squares over
            coordinates.
        structure_seed: Seed of the subspace, which training and evaluation inputs and all replicates share.
    """

    def __init__(
        self,
        subspace_dim: PositiveInt,
        std: PositiveFloat = 1.0,
        noise_ratio: NonNegativeFloat = 0.0,
        structure_seed: NonNegativeInt = 0,
    ) -> None:
        self.subspace_dim = subspace_dim
        self.signal = std / math.sqrt(1 + noise_ratio**2)
        self.noise = noise_ratio * self.signal
        self.structure_seed = structure_seed

    def basis(self, dim: int) -> Tensor:
        """An orthonormal basis of the subspace, `[subspace_dim, dim]`.

        Raises:
            InputError: If the subspace has more dimensions than the inputs.
        """
        if self.subspace_dim > dim:
            raise InputError(
                f"{KEY}.subspace_dim = {self.subspace_dim} is more than data.init_args.dim = {dim}: lower it"
            )
        return orthonormal_columns(dim, self.subspace_dim, self.structure_seed).mT

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class. Raises what `basis` raises."""
        # k of d directions carry the signal: each has the variance signal² d / k.
        basis = self.basis(dim) * (self.signal * math.sqrt(dim / self.subspace_dim))
        inputs = torch.zeros(count, dim, dtype=torch.float64)
        for block in row_blocks(inputs):
            if self.noise:
                block.normal_(0, self.noise, generator=generator)
            block.addmm_(torch.randn(len(block), self.subspace_dim, generator=generator, dtype=torch.float64), basis)
        return inputs


def standard_normal(rows: int, columns: int, structure_seed: int) -> Tensor:
    """Independent N(0, 1) numbers drawn with a structure seed, `[rows, columns]`."""
    generator = torch.Generator().manual_seed(structure_seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def orthonormal_columns(rows: int, columns: int, structure_seed: int) -> Tensor:
    """Random orthonormal columns, `[rows, columns]`, uniformly distributed: the QR decomposition of a Gaussian matrix.

    The signs are chosen so that R's diagonal is positive (Mezzadri, 2007, arXiv math-ph/0609050).
    """
    q, r = torch.linalg.qr(standard_normal(rows, columns, structure_seed))
    return q * r.diagonal().sign()
