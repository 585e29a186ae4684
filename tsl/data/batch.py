"""Batches of inputs with labels."""

from typing import NamedTuple

from torch import Tensor


class Labelled(NamedTuple):
    """Inputs with their labels. A DataModule without labels yields the inputs alone.

    Attributes:
        inputs: A chunk of K minibatches `[K, R, B, ...]` for training, `[R, B, ...]` for evaluation.
        labels: The class of every input, counted from 0: int64 `[K, R, B]`, or `[R, B]`.
    """

    inputs: Tensor
    labels: Tensor
