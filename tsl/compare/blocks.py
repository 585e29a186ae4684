"""Splits inputs into blocks whose size depends on the number of inputs, not on the size of batches."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tsl.errors import InputError

GROUPS = 10
"""Number of groups of inputs; an interval leaves out one group at a time."""

BLOCK = 128
"""The largest number of inputs in a block; the last block may be larger."""

ACTIVATIONS = 2**27
"""The largest number of activations of a block: half a gigabyte in float32. `LEAST` has priority over it."""

LEAST = 8
"""The smallest number of inputs in a block, and of all inputs; the unbiased estimate of HSIC needs 4."""

Inputs = Tensor | Iterable[Any]


def block_size(count: int | None, numbers: int) -> int:
    """The number of inputs in a block, chosen so that `GROUPS` groups have equally many blocks.

    Args:
        count: Number of all inputs; None if it is not known.
        numbers: Activations of all watched layers for one input.

    >>> block_size(2000, 1), block_size(300, 1), block_size(50, 1), block_size(None, 1), block_size(2000, 10_000_000)
    (100, 30, 8, 128, 13)
    """
    most = min(BLOCK, max(LEAST, ACTIVATIONS // numbers))
    if count is None:
        return most
    per_group = -(-count // (GROUPS * most))
    return max(LEAST, -(-count // (GROUPS * max(per_group, 1))))


def number_of_inputs(inputs: Inputs) -> int | None:
    """The number of inputs; None if it cannot be known without reading them."""
    if isinstance(inputs, Tensor):
        return len(inputs)
    if isinstance(inputs, DataLoader):
        sampler: Any = inputs.sampler
        if inputs.batch_size is None or not hasattr(sampler, "__len__"):
            return None
        count = len(sampler)
        return count - count % inputs.batch_size if inputs.drop_last else count
    if isinstance(inputs, Sequence):
        return sum(len(_inputs_of(batch)) for batch in inputs)
    return None


def some_inputs(inputs: Inputs) -> tuple[Tensor, Inputs]:
    """The first two inputs, and all inputs again.

    Raises:
        InputError: If there are no inputs, or a batch is not a tensor.
    """
    if isinstance(inputs, Tensor):
        if not inputs.ndim or not len(inputs):
            raise InputError(f"inputs: expected a tensor [N, …] with N at least {LEAST}, got {list(inputs.shape)}")
        return inputs[:2], inputs
    iterator = iter(inputs)
    try:
        first = next(iterator)
    except StopIteration:
        raise InputError(f"inputs: expected at least {LEAST}, got none") from None
    again = chain([first], iterator) if iterator is inputs else inputs  # a generator yields each batch once
    return _inputs_of(first)[:2], again


def blocks(inputs: Inputs, size: int) -> Iterator[Tensor]:
    """The inputs in blocks; the last block is larger if fewer than `LEAST` inputs would be left over.

    Args:
        inputs: A tensor `[N, …]`, whose rows are taken in an order drawn with a fixed seed; or batches `[B, …]` of any
            sizes, or tuples or lists that start with such a batch, in their order.
        size: Inputs in a block.

    Raises:
        InputError: If there are fewer than `LEAST` inputs, a batch is not a tensor, or shapes differ.
    """
    if isinstance(inputs, Tensor):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        inputs = [inputs[rows] for rows in order.to(inputs.device).split(size)]
    held: list[Tensor] = []
    count = 0
    for batch in inputs:
        held.append(_inputs_of(batch))
        if held[-1].shape[1:] != held[0].shape[1:]:
            shapes = list(held[0].shape[1:]), list(held[-1].shape[1:])
            raise InputError(f"inputs: expected inputs of one shape, got {shapes[0]} and then {shapes[1]}")
        count += len(held[-1])
        while count >= size + LEAST:
            joined = torch.cat(held) if len(held) > 1 else held[0]
            yield joined[:size]
            held, count = [joined[size:]], count - size
    if not count:
        raise InputError(f"inputs: expected at least {LEAST}, got none")

    if count < LEAST:
        raise InputError(f"inputs: expected at least {LEAST}, got {count}")
    yield torch.cat(held)


def _inputs_of(batch: Any) -> Tensor:
    while isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if not isinstance(batch, Tensor) or not batch.ndim:
        raise InputError(
            f"inputs: expected batches that are tensors [B, …], or tuples that start with one, got "
            f"{type(batch).__name__}: give an iterable that yields the inputs alone"
        )
    return batch
