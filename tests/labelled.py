"""Tiny labelled images, for tests that need no real ones."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from tsl.data.batch import Labelled
from tsl.data.loaders import MinibatchSampler


class TinyImages(pl.LightningDataModule):
    """Noisy copies of one random image for each of 3 classes, the same for all replicates."""

    def __init__(
        self,
        shape: list[int] | None = None,
        train_size: int = 96,
        val_size: int = 48,
        batch_size: int = 16,
        chunk_size: int = 4,
        noise: float = 1.0,
        replicates: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.input_shape = shape or [2, 8, 8]
        self.val_size, self.noise, self.replicates = val_size, noise, replicates
        self.train_sizes = [train_size] * replicates
        self.sampler = MinibatchSampler(self.train_sizes, batch_size, chunk_size=chunk_size, seed=seed)

    def images(self, size: int, seed: int) -> Labelled:
        drawn = torch.Generator().manual_seed(0)
        centres = torch.randn(3, *self.input_shape, generator=drawn)
        drawn.manual_seed(seed)
        labels = torch.arange(size) % 3
        noise = torch.randn(size, *self.input_shape, generator=drawn)
        return Labelled((centres[labels] + self.noise * noise).to(torch.get_default_dtype()), labels)

    def train_dataloader(self) -> "Chunks":
        return Chunks(self.images(self.train_sizes[0], seed=1), self.sampler)

    def val_dataloader(self) -> list["Whole"]:
        return [Whole(self.images(self.val_size, seed=2), self.replicates)]


class Chunks:
    """Chunks `[K, R, B, ...]`."""

    def __init__(self, data: Labelled, sampler: MinibatchSampler) -> None:
        self.data, self.sampler = data, sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Labelled]:
        for index in self.sampler:
            yield Labelled(*(values[index.transpose(0, 1)] for values in self.data))


EVALUATION_BATCH = 20


class Whole:
    """Batches `[R, EVALUATION_BATCH, ...]`, the last of them smaller."""

    split = "val"

    def __init__(self, data: Labelled, replicates: int) -> None:
        self.data, self.replicates = data, replicates

    def __len__(self) -> int:
        return -(-len(self.data.labels) // EVALUATION_BATCH)

    def __iter__(self) -> Iterator[Any]:
        for inputs, labels in zip(*(values.split(EVALUATION_BATCH) for values in self.data), strict=True):
            yield Labelled(*(v.expand(self.replicates, *v.shape) for v in (inputs, labels)))
