"""Gaussian noise on the teacher's outputs for training inputs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tsl.randomness import replicate_generators

BLOCK = 64
"""Number of steps whose noise one generator draws, so that the cost of seeding it is shared by these steps."""


class LabelNoise:
    """Adds N(0, std²) to every output, independently for every step, sample and replicate.

    The noise of step s depends only on the seed and s, not on the chunks. A resumed run therefore gets the same noise,
    and processes that share a minibatch get the noise that one process would.

    Args:
        stds: Standard deviation in each replicate.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
    """

    def __init__(self, stds: Sequence[float], seed: int | list[int]) -> None:
        self.stds = stds
        self.seed = seed
        self._drawn = torch.empty(0)
        self._drawn_for: tuple[int, ...] = ()

    def __call__(self, targets: Tensor, first_step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The noisy targets of K steps.

        Args:
            targets: The teacher's outputs, `[K, R, B, outputs]`.
            first_step: Optimizer steps taken before these.
            rank: Rank of this process among the `world_size` processes that share each minibatch evenly.
            world_size: Number of processes.
        """
        steps, _, samples, outputs = targets.shape
        noise = [self._of_step(first_step + step, samples * world_size, outputs) for step in range(steps)]
        return targets + torch.stack(noise)[:, :, rank::world_size].to(targets)

    def _of_step(self, step: int, samples: int, outputs: int) -> Tensor:
        """The noise of one step for the whole minibatch, `[R, B, outputs]` float64."""
        block, row = divmod(step, BLOCK)
        if self._drawn_for != (block, samples, outputs):
            generators = replicate_generators("label_noise", self.seed, len(self.stds), block)
            shape = BLOCK, samples, outputs
            normal = [torch.randn(shape, generator=g, dtype=torch.float64, device="cpu") for g in generators]
            self._drawn = torch.stack([std * each for std, each in zip(self.stds, normal, strict=True)], dim=1)
            self._drawn_for = block, samples, outputs
        return self._drawn[row]
