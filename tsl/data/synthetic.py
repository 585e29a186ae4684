"""Synthetic inputs, drawn for every replicate from its own seed."""

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Tensor

from tsl.data.augmentation import Augmentation
from tsl.data.data_module import CONDITIONED_ON, DataModule
from tsl.data.distributions import InputDistribution
from tsl.data.loaders import MinibatchSampler
from tsl.data.samples import Samples
from tsl.data.sizes import check_evaluated_together
from tsl.errors import InputError
from tsl.randomness import Purpose, replicate_generators
from tsl.replicates import PerReplicate, of_replicate, per_replicate


class SyntheticDataModule(DataModule):
    """Inputs from a distribution. They have no labels, because the teacher's outputs are the targets.

    Training batches are chunks `[K, R, B, dim]` of K minibatches, evaluation batches `[R, B, dim]`.

    Args:
        distribution: Distribution of the inputs.
        dim: Input dimension d.
        train_size: Training inputs N of every replicate, before augmentation; or a list that repeats along the
            replicates.
        val_size: Evaluation inputs of every replicate.
        val_distribution: Distribution of the evaluation inputs; `distribution` if not given.
        augmentation: Makes a larger training set from the training inputs. Evaluation inputs are never augmented.
        batch_size: Training samples in a minibatch.
        steps_per_epoch: Minibatches in an epoch; if not given, as many as the training samples fill.
        replacement: Draw each minibatch from all training samples, rather than going through all of them in turn.
        fresh_inputs: Draw new training inputs in every epoch.
        evaluate_train: Evaluate on the training samples as well.
        chunk_size: Minibatches handed to the module at a time; it affects only speed.
        eval_batch_size: Inputs in an evaluation batch; it affects only speed, memory and the random draws of null
            levels. If not given, it is chosen for the module's widths (`TeacherStudent.eval_batch_size`).
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
    """

    def __init__(
        self,
        distribution: InputDistribution,
        dim: PositiveInt,
        train_size: PerReplicate[PositiveInt],
        val_size: PositiveInt,
        val_distribution: InputDistribution | None = None,
        augmentation: Augmentation | None = None,
        batch_size: PositiveInt = 16,
        steps_per_epoch: PositiveInt | None = None,
        replacement: bool = False,
        fresh_inputs: bool = False,
        evaluate_train: bool = False,
        chunk_size: PositiveInt = 250,
        eval_batch_size: PositiveInt | None = None,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt | list[NonNegativeInt] = 0,
    ) -> None:
        super().__init__(
            [dim], replicates=replicates, seed=seed, evaluate_train=evaluate_train, eval_batch_size=eval_batch_size
        )
        self.distribution = distribution
        self.dim = dim
        self.train_size = train_size
        self.val_size = val_size
        self.val_distribution = val_distribution
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.replacement = replacement
        self.fresh_inputs = fresh_inputs
        self.chunk_size = chunk_size
        self.sampler = MinibatchSampler(
            per_replicate(train_size, replicates, "data.init_args.train_size"),
            batch_size,
            variants=1 if augmentation is None else augmentation.variants((dim,)),
            steps_per_epoch=steps_per_epoch,
            chunk_size=chunk_size,
            replacement=replacement,
            seed=seed,
        )
        if evaluate_train:
            check_evaluated_together(self.train_sizes)
        if distribution.finite and val_distribution is None:
            raise InputError(
                f"data.init_args.distribution = {type(distribution).__name__} holds finitely many inputs, and training "
                "and evaluation would share them: set data.init_args.val_distribution to one with other inputs (for a "
                "file, other rows by start and stop)"
            )
        self._val_samples: Samples
        self._train_inputs: Tensor
        self._train_samples: Samples | None = None
        self._train_epoch = 0

    def draw(self, stage: str, dtype: torch.dtype, device: torch.device) -> None:
        """Draw the inputs; see the base class."""
        self._place = dtype, device
        val_distribution = self.val_distribution or self.distribution
        self._val_samples = Samples(self._drawn(val_distribution, "val_inputs", [self.val_size] * self.replicates))
        if stage == "fit" or self.evaluate_train:
            self._draw_train_inputs(epoch=0)

    def teardown(self, stage: str) -> None:
        """Free the inputs."""
        del self._val_samples
        if stage == "fit" or self.evaluate_train:
            del self._train_inputs
            self._train_samples = None

    def val_samples(self) -> Samples:
        """The evaluation inputs."""
        return self._val_samples

    def train_samples(self, epoch: int) -> Samples:
        """The training samples of an epoch, counted from 0; replicates with fewer inputs are padded with zeros."""
        if self.fresh_inputs and epoch != self._train_epoch:
            self._draw_train_inputs(epoch)
        if self._train_samples is None:
            self._train_samples = self._augmented(self._train_inputs)
        return self._train_samples

    def conditioning_inputs(self) -> list[Tensor]:
        """Training inputs, before augmentation; see the base class."""
        sizes = zip(self._train_inputs, self.train_sizes, strict=True)
        return [inputs[: min(size, CONDITIONED_ON)] for inputs, size in sizes]

    def _draw_train_inputs(self, epoch: int) -> None:
        self._train_inputs = self._drawn(self.distribution, "train_inputs", self.train_sizes, epoch)
        self._train_samples = None
        self._train_epoch = epoch

    def _augmented(self, inputs: Tensor) -> Samples:
        """Augment the inputs. Call it only when training begins: `draw` comes before the teacher is made."""
        if self.augmentation is None:
            return Samples(inputs)
        generators = replicate_generators("augmentation", self.seed, self.replicates, self._train_epoch)
        return self.augmentation(Samples(inputs), generators, self.teacher)

    def _drawn(self, distribution: InputDistribution, purpose: Purpose, sizes: list[int], epoch: int = 0) -> Tensor:
        dtype, device = self._place
        inputs = torch.zeros(self.replicates, max(sizes), self.dim, dtype=dtype)
        generators = replicate_generators(purpose, self.seed, self.replicates, epoch)
        for replicate, (size, generator) in enumerate(zip(sizes, generators, strict=True)):
            alone = of_replicate(distribution, replicate, self.replicates)
            inputs[replicate, :size] = alone.sample(size, self.dim, generator)
        return inputs.to(device)
