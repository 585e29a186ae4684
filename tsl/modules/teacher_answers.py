"""Keeps the teacher's outputs for unchanged evaluation inputs from one evaluation to the next."""

import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tsl.data.loaders import EvaluationLoader
from tsl.data.samples import Samples
from tsl.networks import Activations, Network

KEPT = 1 << 28
"""The largest number of bytes stored, over all splits: 256 MiB."""


class TeacherAnswers:
    """The teacher's outputs, and its hidden layers on request, for each batch of fixed inputs.

    Nothing is stored for a split whose outputs need more bytes than its share of `KEPT`; the teacher then computes them
    at every evaluation. Nothing is stored either for training samples that an augmentation makes, or for loaders that
    are not an `EvaluationLoader`.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Free everything that is stored."""
        self._kept: dict[tuple[int, int], Activations] = {}
        self._weights: list[tuple[int, int]] = []
        self._samples: list[weakref.ref[Samples] | None] = []
        self._batches: list[int] = []

    def start(self, teacher: Network, loaders: Sequence[Any]) -> None:
        """Begin an evaluation: forget everything if the teacher, or the inputs of a loader, are no longer the same."""
        weights = [(tensor.data_ptr(), tensor._version) for tensor in (*teacher.parameters(), *teacher.buffers())]
        samples = [_fixed_samples(loader) for loader in loaders]
        same_inputs = len(samples) == len(self._samples) and all(map(_is_of, self._samples, samples))
        if weights != self._weights or not same_inputs:
            self.forget()
        self._weights = weights
        self._samples = [None if each is None else weakref.ref(each) for each in samples]
        self._batches = [0 if each is None else len(loader) for loader, each in zip(loaders, samples, strict=True)]

    def answer(self, teacher: Network, inputs: Tensor, loader: int, batch: int, *, hidden: bool) -> Activations:
        """The teacher's activations for a batch, with hidden layers only if `hidden` is set.

        Args:
            teacher: The teacher that `start` was given.
            inputs: The batch, `[R, B, ...]`.
            loader: Number of the loader that it comes from.
            batch: Its number in that loader.
            hidden: Whether to return hidden layers too.
        """
        kept = self._kept.get((loader, batch))
        if kept is not None and (kept.post or not hidden):
            return kept
        answer = teacher.activations(inputs)
        outputs = Activations([], [], answer.output)
        for candidate in (answer, outputs) if hidden else (outputs,):
            if self._fits(candidate, loader):
                self._kept[loader, batch] = candidate
                break
        return answer if hidden else outputs

    def _fits(self, answer: Activations, loader: int) -> bool:
        if not any(self._batches[loader : loader + 1]):
            return False
        bytes_of_batch = sum(tensor.nbytes for tensor in (*answer.pre, *answer.post, answer.output))
        return bytes_of_batch * self._batches[loader] <= KEPT // len(self._batches)


def _fixed_samples(loader: Any) -> Samples | None:
    """The samples of a loader, if they are the same at every evaluation."""
    if not isinstance(loader, EvaluationLoader):
        return None
    samples = loader.samples()
    return samples if loader.split == "val" or samples.augment is None else None


def _is_of(reference: "weakref.ref[Samples] | None", samples: Samples | None) -> bool:
    """Whether a weak reference from the evaluation before refers to these samples; a dead one refers to none."""
    return samples is None if reference is None else reference() is samples and samples is not None
