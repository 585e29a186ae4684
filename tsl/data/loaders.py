"""Loaders that select whole batches by index, with no per-sample Python and no collating.

Letters: R replicates, N inputs, K minibatches in a chunk, B inputs in a minibatch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from tsl.data.samples import Chunk, Samples
from tsl.errors import InputError
from tsl.randomness import replicate_generators


class MinibatchSampler:
    """Chooses the samples of each minibatch of an epoch, separately for every replicate.

    The order is a pure function of seed, replicate and epoch, so it need not be stored to resume a run.

    Args:
        sizes: Number N of inputs of every replicate.
        batch_size: Samples B in a minibatch.
        variants: Samples that an augmentation makes from each input.
        steps_per_epoch: Minibatches in an epoch. If None, as many as are filled by the samples of the replicate with
            the fewest.
        chunk_size: Minibatches K handed out at a time; the last chunk of an epoch may be smaller.
        replacement: Draw every sample from all samples. Otherwise no sample comes twice in an epoch, and every input
            is used once before any input is used again as another variant.
        seed: Seed of replicate 0, or a list of seeds, as in `DataModule`.

    Raises:
        InputError: If an epoch would need more samples than there are, without replacement.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        *,
        variants: int = 1,
        steps_per_epoch: int | None = None,
        chunk_size: int = 50,
        replacement: bool = False,
        seed: int | list[int] = 0,
    ) -> None:
        fewest = min(sizes) * variants
        self.steps_per_epoch = fewest // batch_size if steps_per_epoch is None else steps_per_epoch
        needed = batch_size * max(self.steps_per_epoch, 1)
        if needed > fewest and not replacement:
            samples = f"{fewest} (data.init_args.train_size = {min(sizes)}, {variants} of each input)"
            raise InputError(
                f"data.init_args.batch_size = {batch_size} times {max(self.steps_per_epoch, 1)} steps an epoch needs "
                f"{needed} samples, but there are {samples}: lower data.init_args.batch_size or "
                "data.init_args.steps_per_epoch, or set data.init_args.replacement to true"
            )
        self.sizes = list(sizes)
        self.variants = variants
        self.batch_size = batch_size
        self.chunk_size = chunk_size
        self.replacement = replacement
        self.seed = seed
        self.epoch = 0
        # Fails if there is not enough memory for the indices of a chunk, while the run has not written anything.
        torch.empty(len(sizes), min(chunk_size, self.steps_per_epoch), batch_size, dtype=torch.int64, device="cpu")

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.steps_per_epoch // self.chunk_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield `[R, K, B]` indices of samples; sample i is variant i % variants of input i // variants."""
        generators = replicate_generators("minibatches", self.seed, len(self.sizes), self.epoch)
        orders = [self._order(size, generator) for size, generator in zip(self.sizes, generators, strict=True)]
        for chunks in zip(*orders, strict=True):
            yield torch.stack(chunks)

    def _order(self, size: int, generator: Generator) -> Iterator[Tensor]:
        """Yield the sample indices of one replicate's epoch, `[K, B]` for each chunk."""
        passes = self._passes(size, generator)
        ahead = torch.empty(0, dtype=torch.int64)
        for first_step in range(0, self.steps_per_epoch, self.chunk_size):
            count = min(self.chunk_size, self.steps_per_epoch - first_step) * self.batch_size
            if self.replacement:
                index = torch.randint(size * self.variants, (count,), generator=generator)
            else:
                while len(ahead) < count:
                    ahead = torch.cat([ahead, next(passes)])
                index, ahead = ahead[:count], ahead[count:]
            yield index.unflatten(0, (-1, self.batch_size))

    def _passes(self, size: int, generator: Generator) -> Iterator[Tensor]:
        """Yield every sample once, one pass over the inputs `[N]` at a time, to avoid an order of all N · variants."""
        order = torch.randperm(self.variants, generator=generator)
        first = torch.randint(self.variants, (size,), generator=generator)
        for turn in range(self.variants):
            inputs = torch.randperm(size, generator=generator)
            yield inputs * self.variants + order[(first[inputs] + turn) % self.variants]


class ChunkLoader:
    """Chunks of K minibatches for training.

    Args:
        samples: Returns the training samples of an epoch.
        sampler: Chooses the samples of each minibatch.
        rank: Rank of this process among the `world_size` processes that share each minibatch evenly.
        world_size: Number of processes.
    """

    def __init__(
        self, samples: Callable[[int], Samples], sampler: MinibatchSampler, rank: int = 0, world_size: int = 1
    ) -> None:
        if sampler.batch_size % world_size:
            raise InputError(
                f"data.init_args.batch_size = {sampler.batch_size} cannot be divided evenly among {world_size} "
                f"processes: choose a multiple of {world_size}, or fewer devices"
            )
        self.samples = samples
        self.sampler = sampler
        self.rank = rank
        self.world_size = world_size
        self._position = {"epoch": 0, "chunk": 0}
        self._resume_from = self._position

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Chunk]:
        epoch = self.sampler.epoch
        samples = self.samples(epoch)
        done = self._resume_from["chunk"] if self._resume_from["epoch"] == epoch else 0
        for chunk, index in enumerate(self.sampler):
            if chunk >= done:
                self._position = {"epoch": epoch, "chunk": chunk + 1}
                yield Chunk(samples, index[..., self.rank :: self.world_size])

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its chunks were handed out; Lightning stores it with each checkpoint."""
        return self._position

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip the chunks of the epoch that were handed out before `state` was saved."""
        self._resume_from = state


class EvaluationLoader:
    """Batches `[R, B, ...]` of all samples, each once and in order, with labels `[R, B]` if there are any.

    Args:
        split: Name of the samples in records, such as "val" or "train".
        samples: Returns the samples.
        batch_size: Samples in a batch; the last may be smaller.
        rank: Rank of this process among the `world_size` processes that share the samples.
        world_size: Number of processes.
    """

    def __init__(
        self, split: str, samples: Callable[[], Samples], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.split = split
        self.samples = samples
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-len(range(self.rank, len(self.samples()), self.world_size)) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        samples = self.samples()
        stride = self.batch_size * self.world_size
        for start in range(self.rank, len(samples), stride):
            yield samples.batch(slice(start, start + stride, self.world_size))
