"""Inputs together with the samples that an augmentation makes of them, by index.

Letters: R replicates, N inputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Augment = Callable[[Tensor, Tensor], Tensor]
"""Makes samples `[R, ..., *shape]` from which input `[R, ...]` and which of its variants `[R, ...]` each is."""


class Samples:
    """The samples of R replicates, of which only the inputs are kept in memory.

    Sample i is variant i % variants of input i // variants.

    Args:
        inputs: Inputs `[R, N, *shape]`.
        augment: Makes the samples; the inputs are the samples where None.
        variants: Number of samples that each input gives.
    """

    def __init__(self, inputs: Tensor, augment: Augment | None = None, variants: int = 1) -> None:
        self.inputs = inputs
        self.augment = augment
        self.variants = variants

    def __len__(self) -> int:
        return self.inputs.shape[1] * self.variants

    def __getitem__(self, rows: slice) -> Tensor:
        """Samples in order, `[R, B, *shape]`."""
        if self.augment is None:
            return self.inputs[:, rows]
        chosen = range(len(self))[rows]
        index = torch.arange(chosen.start, chosen.stop, chosen.step)
        return self.take(index.expand(len(self.inputs), -1))

    def take(self, index: Tensor) -> Tensor:
        """Samples by index `[R, ...]`, as `[R, ..., *shape]`."""
        index = index.to(self.inputs.device)
        if self.augment is None:
            return gather(self.inputs, index)
        return self.augment(index // self.variants, index % self.variants)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Take by index for every replicate: `[R, N, *shape]` and `[R, ...]` give a new tensor `[R, ..., *shape]`."""
    replicate = torch.arange(len(values), device=index.device).reshape(-1, *[1] * (index.ndim - 1))
    rows = (index + replicate * values.shape[1]).flatten()
    return values.flatten(0, 1).index_select(0, rows).unflatten(0, index.shape)
