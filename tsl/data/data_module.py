"""The base class of every DataModule, with what tsl's modules need from their data.

Letters: R replicates, N inputs, K minibatches in a chunk, B inputs in a minibatch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.samples import Samples
from tsl.data.sizes import announce, check_evaluated_together
from tsl.processes import minibatch_share

CONDITIONED_ON = 100_000
"""The largest number of inputs that a teacher is conditioned on. It gives a node's median to within 0.2 % of them."""


class DataModule(pl.LightningDataModule, ABC):
    """Inputs of R replicates, as samples that minibatches select by index.

    A subclass draws its inputs in `draw` and returns them as `Samples` from `train_samples` and `val_samples`. It sets
    `sampler`, which chooses the samples of each minibatch, before `train_samples` is called.
    Training batches are then chunks `[K, R, B, ...]` and evaluation batches `[R, B, ...]`, both `tsl.data.Labelled`
    if the samples have labels.

    Args:
        input_shape: The shape of one input: `[d]`, or `[C, H, W]` of an image.
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates
            (`tsl.randomness.replicate_generators`).
        evaluate_train: Evaluate on the training samples as well, as split "train".
        eval_batch_size: Inputs in an evaluation batch; `suited_batch_size` if None.

    Attributes:
        labelled: Whether batches have labels.
        sampler: Chooses the training samples of each minibatch, and holds their number in each replicate.
        teacher: The networks for augmentations that need one: the R teachers, or the networks that a Classifier
            trains. The module sets it before it asks for batches.
        suited_batch_size: Inputs in an evaluation batch that suit the module. The module sets it.
    """

    labelled: ClassVar[bool] = False
    sampler: MinibatchSampler

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        replicates: int = 1,
        seed: int | list[int] = 0,
        evaluate_train: bool = False,
        eval_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = list(input_shape)
        self.replicates = replicates
        self.seed = seed
        self.evaluate_train = evaluate_train
        self.eval_batch_size = eval_batch_size
        self.teacher: nn.Module | None = None
        self.suited_batch_size = 500

    @abstractmethod
    def draw(self, stage: str, dtype: torch.dtype, device: torch.device) -> None:
        """Draw or read the inputs.

        Args:
            stage: What Lightning is about to do: "fit", "validate", "test" or "predict".
            dtype: Precision of the inputs.
            device: Device of the inputs.
        """

    @abstractmethod
    def train_samples(self, epoch: int) -> Samples:
        """The training samples of an epoch, counted from 0; replicates with fewer inputs are padded with zeros."""

    @abstractmethod
    def val_samples(self) -> Samples:
        """The samples that are evaluated as split "val"."""

    def evaluated_train_samples(self) -> Samples:
        """The samples that are evaluated as split "train": those of the current training epoch."""
        return self.train_samples(self.sampler.epoch)

    def conditioning_inputs(self) -> list[Tensor]:
        """The inputs `[N, d]` that each replicate's teacher is conditioned on: those of epoch 0, without augmentation.

        They are needed before the teacher is made.
        """
        inputs = self.train_samples(0).inputs
        return [
            of_one[: min(size, CONDITIONED_ON)].flatten(1)
            for of_one, size in zip(inputs, self.train_sizes, strict=True)
        ]

    @property
    def train_sizes(self) -> list[int]:
        """Training inputs of every replicate, before augmentation."""
        return self.sampler.sizes

    @property
    def augmented_sizes(self) -> list[int]:
        """Training samples of every replicate, after augmentation."""
        return [size * self.sampler.variants for size in self.train_sizes]

    def setup(self, stage: str) -> None:
        """Draw the inputs in the Trainer's precision and on its device."""
        assert self.trainer is not None
        with self.trainer.precision_plugin.tensor_init_context():
            dtype = torch.get_default_dtype()
        self.draw(stage, dtype, self.trainer.strategy.root_device)

    def train_dataloader(self) -> ChunkLoader:
        """Chunks of minibatches of the training samples."""
        if self.sampler.variants > 1:
            announce(self.train_sizes, self.augmented_sizes)
        return ChunkLoader(self.train_samples, self.sampler, *self._share())

    def val_dataloader(self) -> list[EvaluationLoader]:
        """Loaders of the samples of split "val" and, with `evaluate_train`, of split "train".

        Raises:
            InputError: If `evaluate_train` is set and replicates differ in their number of training inputs.
        """
        loaders = [self._evaluation("val", self.val_samples)]
        if self.evaluate_train:
            check_evaluated_together(self.train_sizes)
            loaders.append(self._evaluation("train", self.evaluated_train_samples))
        return loaders

    def _evaluation(self, split: str, samples: Callable[[], Samples]) -> EvaluationLoader:
        return EvaluationLoader(split, samples, self.eval_batch_size or self.suited_batch_size, *self._share())

    def _share(self) -> tuple[int, int]:
        """The rank of this process among those that share the samples, and the number of those processes."""
        return minibatch_share(self.trainer)
