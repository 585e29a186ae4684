"""The augmentations that the theorem requires (Tian, ICML 2020), for inputs of any shape.

Letters: R replicates, N inputs, d numbers in an input.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from tsl.data.samples import Samples, gather
from tsl.errors import InputError
from tsl.networks.hyperplanes import hyperplanes


class Augmentation(ABC):
    """Makes a larger data set D' from a data set D. Each way is a class, chosen by `class_path` in a config."""

    @abstractmethod
    def variants(self, shape: Sequence[int]) -> int:
        """Samples of D' for each input of D, |D'| / |D|, where an input has this shape.

        Raises:
            InputError: If this augmentation cannot be applied to inputs of this shape.
        """

    @abstractmethod
    def __call__(self, inputs: Samples, generators: Sequence[Generator], teacher: nn.Module | None) -> Samples:
        """Make D' from D, by `inputs.augmented`.

        Args:
            inputs: The data set D of every replicate.
            generators: One CPU generator for each replicate.
            teacher: The R teachers whose outputs on D' will be the targets; None if there are none.
        """


class TeacherAgnostic(Augmentation):
    """D' = D ∪ {x ± η u_i : x ∈ D, i = 1..d}, where {u_i} are orthonormal. It does not need the teacher.

    Variant 0 of an input is the input itself, variants 2i − 1 and 2i are x + η u_i and x − η u_i.

    Args:
        step: The step size η.
        rotate: Take {u_i} from a random rotation, one for each replicate, rather than the standard basis.
        directions: Number k of the d directions to use for each input, drawn separately: |D'| = (2k + 1)|D|. This is
            affordable if d is large, as for images, but is fewer than the theorem requires.
    """

    def __init__(self, step: PositiveFloat, rotate: bool = False, directions: PositiveInt | None = None) -> None:
        self.step = step
        self.rotate = rotate
        self.directions = directions

    def variants(self, shape: Sequence[int]) -> int:
        """2d + 1, or 2k + 1; see the base class."""
        if self.directions is not None and self.directions > prod(shape):
            raise InputError(
                f"data.init_args.augmentation.init_args.directions = {self.directions}, but inputs have only "
                f"{prod(shape)} directions: give at most {prod(shape)}, or leave it out to use all of them"
            )
        return 2 * (self.directions or prod(shape)) + 1

    def __call__(self, inputs: Samples, generators: Sequence[Generator], teacher: nn.Module | None) -> Samples:
        """D'; see the base class."""
        none = inputs[:0]  # for shape, precision and device
        shape, dim = none.shape[2:], prod(none.shape[2:])
        basis = torch.stack([rotation(dim, g) for g in generators]).to(none) if self.rotate else None
        chosen = None
        if self.directions is not None:
            chosen = torch.stack([subsets(len(inputs), dim, self.directions, g) for g in generators]).to(none.device)

        def augment(index: Tensor, variant: Tensor) -> Tensor:
            samples = inputs.take(index)
            flat = samples.flatten(index.ndim)
            direction = (variant - 1).clamp(min=0) // 2
            if chosen is not None:
                direction = gather(chosen, index).gather(-1, direction.unsqueeze(-1)).squeeze(-1)
            sign = (variant % 2 * 2 - 1) * (variant > 0)
            step = (self.step * sign.to(samples.dtype)).unsqueeze(-1)
            if basis is None:
                flat.scatter_add_(-1, direction.unsqueeze(-1), step)
            else:
                flat.addcmul_(gather(basis, direction), step)
            return samples

        return inputs.augmented(augment, self.variants(shape))


class TeacherAware(Augmentation):
    """D' = {x, x + α ŵ_j, x − α ŵ_j} for every input, where x is its projection on a hyperplane w_jᵀx + b_j = 0.

    The nodes j are those of the teacher's lowest layer, ŵ_j = w_j / ‖w_j‖. The inputs are divided evenly among the
    nodes, in random order. Each input has its own α, uniform in [low, low + width]. Variant 0 lies on the hyperplane,
    1 on its positive side and 2 on its negative side. A node of a convolution is a channel at a position.

    Args:
        low: Smallest distance α.
        width: Largest distance minus smallest distance.
        rescale: Scale every sample, as the last step, to the norm rescale · √d. The paper's experiments did this with
            the standard deviation of their inputs. It moves samples off the hyperplane again if the bias is not 0.
    """

    def __init__(
        self, low: PositiveFloat = 2.0, width: NonNegativeFloat = 2.0, rescale: PositiveFloat | None = None
    ) -> None:
        self.low = low
        self.width = width
        self.rescale = rescale

    def variants(self, shape: Sequence[int]) -> int:
        """3; see the base class."""
        return 3

    def __call__(self, inputs: Samples, generators: Sequence[Generator], teacher: nn.Module | None) -> Samples:
        """D'; see the base class."""
        none = inputs[:0]  # for shape, precision and device
        count, shape = len(inputs), none.shape[2:]
        if teacher is None:
            raise InputError(
                "tsl.data.TeacherAware needs a teacher: set the DataModule's `teacher` before you ask for batches"
            )
        planes = hyperplanes(teacher, shape)
        turn = torch.arange(count) % planes.nodes
        nodes, distances = [], []
        for generator in generators:
            nodes.append(torch.randperm(planes.nodes, generator=generator)[turn])
            uniform = torch.rand(count, generator=generator, dtype=torch.float64, device="cpu")
            distances.append(self.low + self.width * uniform)
        node, distance = torch.stack(nodes).to(none.device), torch.stack(distances).to(none)

        def augment(index: Tensor, variant: Tensor) -> Tensor:
            samples = inputs.take(index)
            flat = samples.flatten(index.ndim)
            normal, offset = planes.of(gather(node, index))
            height = (flat * normal).sum(dim=-1) + offset
            side = (variant + 1) % 3 - 1
            flat.addcmul_(normal, (side * gather(distance, index) - height).unsqueeze(-1))
            if self.rescale is not None:
                flat.mul_(self.rescale * prod(shape) ** 0.5 / flat.norm(dim=-1, keepdim=True))
            return samples

        return inputs.augmented(augment, self.variants(shape))


def rotation(dim: int, generator: Generator) -> Tensor:
    """Orthonormal rows in random directions (Haar), `[dim, dim]` float64."""
    normal = torch.randn(dim, dim, generator=generator, dtype=torch.float64, device="cpu")
    orthonormal, triangular = torch.linalg.qr(normal)
    return orthonormal * triangular.diagonal().sign()


def subsets(count: int, dim: int, size: int, generator: Generator) -> Tensor:
    """`count` random subsets of {0, …, dim − 1} without repetition, `[count, size]`; their order inside is not random.

    Floyd's algorithm (Bentley and Floyd, Communications of the ACM 30(9), 1987) runs for all subsets at once and needs
    no random keys `[count, dim]`. The first subsets are the same for every `count`.
    """
    uniform = torch.rand(count, size, generator=generator, dtype=torch.float64, device="cpu")
    drawn = (uniform * torch.arange(dim - size + 1, dim + 1)).long()
    for position, highest in enumerate(range(dim - size, dim)):
        taken = (drawn[:, :position] == drawn[:, position, None]).any(dim=1)
        drawn[taken, position] = highest
    return drawn
