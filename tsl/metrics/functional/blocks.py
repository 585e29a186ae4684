"""Processes a batch in blocks that fit in a core's cache, so that several passes over it cost little."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BLOCK = 1 << 18
"""Elements in a block on a CPU, teacher and student together."""

ACCELERATOR_BLOCK = 1 << 24
"""Elements in a block on other devices, where each call costs more and memory is faster: 128 MiB in float64."""

BLOCK_SAMPLES = 256
"""The smallest number of samples in a block: with many nodes, fewer would make matrix products inefficient."""

Block = tuple[Tensor, Tensor]


def over_replicates(
    reduce: Callable[[Sequence[Block]], Sequence[Tensor]], teacher: Tensor, student: Tensor
) -> list[Tensor]:
    """Reduce the samples of each replicate, block by block.

    Args:
        reduce: Maps the blocks of a few replicates, pairs `[replicates, samples, m]` and `[replicates, samples, n]`, to
            results `[replicates, ...]`. There is at least one block, and none has more than 2²³ samples.
        teacher: `[..., samples, m]`.
        student: `[..., samples, n]`.

    Returns:
        The results, `[..., ...]`.

    Example:
        >>> teacher, student = torch.ones(2, 1000, 1000), torch.zeros(2, 1000, 3)
        >>> [total] = over_replicates(lambda blocks: [sum(t.sum(dim=1) for t, _ in blocks)], teacher, student)
        >>> total.shape, total.unique()
        (torch.Size([2, 1000]), tensor([1000.]))
    """
    *leading, samples, m = teacher.shape
    n = student.shape[-1]
    block = BLOCK if teacher.device.type == "cpu" else ACCELERATOR_BLOCK
    rows = max(block // (m + n), BLOCK_SAMPLES)
    replicates = max(rows // max(samples, 1), 1)
    all_replicates = torch.Size(leading).numel()
    results = [
        reduce(list(zip(t.split(rows, dim=1), s.split(rows, dim=1), strict=True)))
        for t, s in zip(
            teacher.reshape(all_replicates, samples, m).split(replicates),
            student.reshape(all_replicates, samples, n).split(replicates),
            strict=True,
        )
    ]
    return [
        torch.cat(list(parts)).unflatten(0, leading) if leading else parts[0][0] for parts in zip(*results, strict=True)
    ]
