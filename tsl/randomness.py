"""Random generators, one for every purpose, replicate and epoch.

A replicate draws from its own seed alone, so it computes the same numbers whether it runs by itself or among many. A
generator is a pure function of its arguments: nothing random has to be stored for a run to be resumed.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch

from tsl.replicates import replicate_seeds

Purpose = Literal[
    "teacher",
    "student",
    "train_inputs",
    "val_inputs",
    "minibatches",
    "null_level",
    "augmentation",
    "dropout",
    "split",
    "crops",
    "flips",
    "strength",
    "label_noise",
    "projection",
]


def generator(purpose: Purpose, seed: int, epoch: int = 0) -> torch.Generator:
    """A CPU generator for one purpose of one replicate.

    Args:
        purpose: What is drawn; streams of different purposes are independent.
        seed: The replicate's own seed (`tsl.replicates.replicate_seeds`); not negative.
        epoch: The epoch of the draw, for values that are drawn anew in every epoch.

    Returns:
        A freshly seeded generator. The three numbers are mixed by `numpy.random.SeedSequence`, so that neighbouring
        seeds give unrelated streams.
    """
    entropy = np.random.SeedSequence([seed, get_args(Purpose).index(purpose), epoch])
    return torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))


def replicate_generators(
    purpose: Purpose, seed: int | Sequence[int], replicates: int, epoch: int = 0
) -> list[torch.Generator]:
    """One generator for each replicate r, seeded by `seed + r`, or by a list that repeats along the replicates."""
    return [generator(purpose, each, epoch) for each in replicate_seeds(seed, replicates)]
