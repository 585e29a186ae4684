"""Inputs and the samples that an augmentation makes from them, addressed by index.

Letters: R replicates, N inputs, K minibatches in a chunk, B samples in a minibatch.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tsl.data.batch import Labelled

Augment = Callable[[Tensor, Tensor], Tensor]
"""Makes samples `[R, ..., *shape]` from two indices `[R, ...]`: the input of each sample, and its variant."""


class Samples:
    """The samples of R replicates. Only their inputs are kept in memory.

    Sample i is variant i % variants of input i // variants.

    Args:
        inputs: Inputs `[R, N, *shape]`, or what `augment` makes the samples from, such as row numbers of images.
        augment: Makes the samples. If None, the inputs are the samples.
        variants: Number of samples made from each input.
        labels: The class of each input `[R, N]`, which its samples share; None if there are no classes.
    """

    def __init__(
        self, inputs: Tensor, augment: Augment | None = None, variants: int = 1, labels: Tensor | None = None
    ) -> None:
        self.inputs = inputs
        self.augment = augment
        self.variants = variants
        self.labels = labels

    def __len__(self) -> int:
        return self.inputs.shape[1] * self.variants

    def __getitem__(self, rows: slice) -> Tensor:
        """Samples in order, `[R, B, *shape]`."""
        return self.inputs[:, rows] if self.augment is None else self.take(self._index(rows))

    def take(self, index: Tensor) -> Tensor:
        """Samples by index `[R, ...]`, as a new tensor `[R, ..., *shape]`."""
        index = index.to(self.inputs.device)
        if self.augment is None:
            return gather(self.inputs, index)
        return self.augment(index // self.variants, index % self.variants)

    def batch(self, rows: Tensor | slice) -> Tensor | Labelled:
        """Samples by index or in order, with their labels if there are any."""
        inputs = self[rows] if isinstance(rows, slice) else self.take(rows)
        if self.labels is None:
            return inputs
        index = self._index(rows) if isinstance(rows, slice) else rows.to(self.labels.device)
        return Labelled(inputs, gather(self.labels, index // self.variants))

    def augmented(self, augment: Augment, variants: int) -> "Samples":
        """The samples that `augment` makes from these, `variants` of each; they keep the labels."""
        return Samples(self.inputs, augment, variants, self.labels)

    def _index(self, rows: slice) -> Tensor:
        chosen = range(len(self))[rows]
        index = torch.arange(chosen.start, chosen.stop, chosen.step, device=self.inputs.device)
        return index.expand(len(self.inputs), -1)


class Chunk:
    """K minibatches for training, stored as indices; the training steps look up the samples.

    Args:
        samples: The samples of an epoch.
        index: The indices of the samples in each minibatch, `[R, K, B]`.
    """

    def __init__(self, samples: Samples, index: Tensor) -> None:
        self.samples = samples
        self.index = index

    @classmethod
    def of(cls, batch: Any) -> "Chunk":
        """Return a chunk unchanged; make one from a DataModule's minibatches `[K, R, B, ...]`, `Labelled` or not."""
        if isinstance(batch, Chunk):
            return batch
        inputs, labels = batch if isinstance(batch, Labelled) else (batch, None)
        samples = Samples(_side_by_side(inputs), labels=None if labels is None else _side_by_side(labels))
        return cls(samples, consecutive(inputs.transpose(0, 1)))

    @property
    def inputs(self) -> Tensor:
        """The minibatches themselves, `[K, R, B, ...]`, as a new tensor."""
        return self.samples.take(self.index).movedim(1, 0)

    @property
    def labels(self) -> Tensor | None:
        """Their labels `[K, R, B]`; None if there are none."""
        labels = self.samples.labels
        if labels is None:
            return None
        return gather(labels, self.index.to(labels.device) // self.samples.variants).movedim(1, 0)


def consecutive(minibatches: Tensor) -> Tensor:
    """The index `[R, K, B]` of minibatches `[R, K, B, ...]` into the same samples joined to `[R, K · B, ...]`."""
    replicates, steps, batch = minibatches.shape[:3]
    index = torch.arange(steps * batch, device=minibatches.device)
    return index.reshape(steps, batch).expand(replicates, -1, -1)


def _side_by_side(minibatches: Tensor) -> Tensor:
    return minibatches.transpose(0, 1).flatten(1, 2)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Select from values `[R, N, *shape]` by index `[R, ...]` in every replicate: a new tensor `[R, ..., *shape]`."""
    replicate = torch.arange(len(values), device=index.device).reshape(-1, *[1] * (index.ndim - 1))
    rows = (index + replicate * values.shape[1]).flatten()
    return values.flatten(0, 1).index_select(0, rows).unflatten(0, index.shape)
