"""Loaders that index whole batches out of one tensor: no per-sample Python, no collating.

Letters: R replicates, N inputs, K minibatches in a chunk, B inputs in a minibatch.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.randomness import replicate_generators


class MinibatchSampler:
    """Which inputs each minibatch of an epoch takes, for every replicate on its own.

    The order is a pure function of seed, replicate and epoch, so it need not be stored to resume a run.

    Args:
        size: Number N of inputs.
        batch_size: Inputs B in a minibatch.
        steps_per_epoch: Minibatches in an epoch; as many as the inputs fill where None.
        chunk_size: Minibatches K handed out at a time; the last chunk of an epoch may be smaller.
        replacement: Draw every input anew from all N; otherwise an epoch is a permutation of the inputs.
        replicates: Number R of replicates.
        seed: Seed of replicate 0.

    Raises:
        InputError: If an epoch would need more inputs than there are, without replacement.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        steps_per_epoch: int | None = None,
        chunk_size: int = 50,
        replacement: bool = False,
        replicates: int = 1,
        seed: int = 0,
    ) -> None:
        self.steps_per_epoch = size // batch_size if steps_per_epoch is None else steps_per_epoch
        needed = batch_size * max(self.steps_per_epoch, 1)
        if needed > size and not replacement:
            raise InputError(
                f"data.init_args.batch_size = {batch_size} times {max(self.steps_per_epoch, 1)} steps an epoch needs "
                f"{needed} of data.init_args.train_size = {size} inputs: lower data.init_args.batch_size or "
                "data.init_args.steps_per_epoch, or set data.init_args.replacement to true"
            )
        self.size = size
        self.batch_size = batch_size
        self.chunk_size = chunk_size
        self.replacement = replacement
        self.replicates = replicates
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.steps_per_epoch // self.chunk_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield `[R, K, B]` indices into the N inputs."""
        index = torch.stack(
            [
                torch.randint(self.size, (self._draws,), generator=generator)
                if self.replacement
                else torch.randperm(self.size, generator=generator)[: self._draws]
                for generator in replicate_generators("minibatches", self.seed, self.replicates, self.epoch)
            ]
        )
        yield from index.unflatten(1, (self.steps_per_epoch, self.batch_size)).split(self.chunk_size, dim=1)

    @property
    def _draws(self) -> int:
        return self.steps_per_epoch * self.batch_size


class ChunkLoader:
    """Chunks `[K, R, B, ...]` of minibatches for training.

    Args:
        inputs: Gives the training inputs `[R, N, ...]` of an epoch.
        sampler: Which of them each minibatch takes.
        rank: This process among `world_size` that share each minibatch evenly.
        world_size: Number of processes.
    """

    def __init__(
        self, inputs: Callable[[int], Tensor], sampler: MinibatchSampler, rank: int = 0, world_size: int = 1
    ) -> None:
        if sampler.batch_size % world_size:
            raise InputError(
                f"data.init_args.batch_size = {sampler.batch_size} cannot be shared evenly by {world_size} processes: "
                "choose a multiple, or fewer devices"
            )
        self.inputs = inputs
        self.sampler = sampler
        self.rank = rank
        self.world_size = world_size
        self._position = {"epoch": 0, "chunk": 0}
        self._resume_from = self._position

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Tensor]:
        epoch = self.sampler.epoch
        inputs = self.inputs(epoch)
        done = self._resume_from["chunk"] if self._resume_from["epoch"] == epoch else 0
        for chunk, index in enumerate(self.sampler):
            if chunk >= done:
                self._position = {"epoch": epoch, "chunk": chunk + 1}
                yield gather(inputs, index[..., self.rank :: self.world_size]).movedim(1, 0)

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its chunks were handed out; Lightning stores it with each checkpoint."""
        return self._position

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip the chunks of the epoch that `state` had handed out."""
        self._resume_from = state


class EvaluationLoader:
    """Batches `[R, B, ...]` that go once through all inputs, in order.

    Args:
        split: Name of the inputs in records, such as "val" or "train".
        inputs: Gives the inputs `[R, N, ...]`.
        batch_size: Inputs in a batch; the last may be smaller.
        rank: This process among `world_size` that share the inputs.
        world_size: Number of processes.
    """

    def __init__(
        self, split: str, inputs: Callable[[], Tensor], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.split = split
        self.inputs = inputs
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-self._share.shape[1] // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        yield from self._share.split(self.batch_size, dim=1)

    @property
    def _share(self) -> Tensor:
        return self.inputs()[:, self.rank :: self.world_size]


def gather(inputs: Tensor, index: Tensor) -> Tensor:
    """Take inputs by index for every replicate: `[R, N, ...]` and `[R, K, B]` give `[R, K, B, ...]`."""
    first_row = torch.arange(len(inputs)).mul_(inputs.shape[1])[:, None, None]
    rows = (index + first_row).flatten().to(inputs.device)
    return inputs.flatten(0, 1).index_select(0, rows).unflatten(0, index.shape)
