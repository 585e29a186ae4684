"""Synthetic inputs, drawn for every replicate from its own seed."""

import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Tensor

from tsl.data.augmentation import Augmentation
from tsl.data.distributions import InputDistribution
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.samples import Samples
from tsl.data.sizes import announce, check_evaluated_together
from tsl.errors import InputError
from tsl.randomness import Purpose, replicate_generators
from tsl.replicates import PerReplicate, of_replicate, per_replicate


class SyntheticDataModule(pl.LightningDataModule):
    """Inputs from a distribution; the teacher answers them, so there are no labels.

    Training batches are chunks `[K, R, B, dim]` of K minibatches, evaluation batches `[R, B, dim]`.

    Args:
        distribution: Where the inputs come from.
        dim: Input dimension d.
        train_size: Training inputs N of every replicate, before augmentation; or a list that repeats along the
            replicates.
        val_size: Evaluation inputs of every replicate.
        val_distribution: Where the evaluation inputs come from; from `distribution` where not given.
        augmentation: Makes a larger training set of the training inputs. Evaluation inputs are never augmented.
        batch_size: Training samples in a minibatch.
        steps_per_epoch: Minibatches in an epoch; as many as the training samples fill where not given.
        replacement: Draw each minibatch from all training samples, rather than going through all of them in turn.
        fresh_inputs: Draw new training inputs in every epoch.
        evaluate_train: Evaluate on the training samples as well.
        chunk_size: Minibatches handed to the module at a time, a matter of speed alone.
        eval_batch_size: Inputs in an evaluation batch, a matter of speed and memory alone but for the chance in null
            levels; as many as suit the module's widths (`TeacherStudent.eval_batch_size`) where not given.
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0; replicate r has seed + r.
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
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.distribution = distribution
        self.dim = dim
        self.train_sizes = per_replicate(train_size, replicates, "data.init_args.train_size")
        self.val_size = val_size
        self.val_distribution = val_distribution or distribution
        self.augmentation = augmentation
        self.fresh_inputs = fresh_inputs
        self.evaluate_train = evaluate_train
        self.eval_batch_size = eval_batch_size
        self.replicates = replicates
        self.seed = seed
        self.variants = 1 if augmentation is None else augmentation.variants((dim,))
        self.sampler = MinibatchSampler(
            self.train_sizes,
            batch_size,
            variants=self.variants,
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
                "and evaluation would share them: set data.init_args.val_distribution to others (start and stop divide "
                "a file)"
            )
        self._val_samples: Samples
        self._train_inputs: Tensor
        self._train_samples: Samples | None = None
        self._train_epoch = 0

    @property
    def augmented_sizes(self) -> list[int]:
        """Training samples of every replicate, augmentation counted."""
        return [size * self.variants for size in self.train_sizes]

    def setup(self, stage: str) -> None:
        """Draw the inputs, in the Trainer's precision and on its device."""
        val_sizes = [self.val_size] * self.replicates
        self._val_samples = Samples(self._draw(self.val_distribution, "val_inputs", val_sizes))
        if stage == "fit" or self.evaluate_train:
            self._draw_train_inputs(epoch=0)

    def teardown(self, stage: str) -> None:
        """Free the inputs."""
        del self._val_samples
        if stage == "fit" or self.evaluate_train:
            del self._train_inputs
            self._train_samples = None

    def train_dataloader(self) -> ChunkLoader:
        """Chunks of minibatches of the training samples."""
        if self.augmentation is not None:
            announce(self.train_sizes, self.augmented_sizes)
        return ChunkLoader(self.train_samples, self.sampler, self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> list[EvaluationLoader]:
        """The evaluation inputs and, where asked for, the training samples."""
        share = self.trainer.global_rank, self.trainer.world_size
        suited: int = getattr(self.trainer.lightning_module, "eval_batch_size", 500)
        batch_size = self.eval_batch_size or suited
        loaders = [EvaluationLoader("val", lambda: self._val_samples, batch_size, *share)]
        if self.evaluate_train:
            train = lambda: self.train_samples(self._train_epoch)  # noqa: E731
            loaders.append(EvaluationLoader("train", train, batch_size, *share))
        return loaders

    def train_samples(self, epoch: int) -> Samples:
        """The training samples of an epoch counted from 0; a replicate with fewer inputs than others ends in zeros."""
        if self.fresh_inputs and epoch != self._train_epoch:
            self._draw_train_inputs(epoch)
        if self._train_samples is None:
            self._train_samples = self._augmented(self._train_inputs)
        return self._train_samples

    def conditioning_inputs(self) -> list[Tensor]:
        """The inputs `[N, dim]` that each replicate's teacher is conditioned on: training inputs, before augmentation.

        At most 100,000: these tell a node's median to within 0.2 % of the inputs, and more would only take memory.
        """
        sizes = zip(self._train_inputs, self.train_sizes, strict=True)
        return [inputs[: min(size, 100_000)] for inputs, size in sizes]

    def _draw_train_inputs(self, epoch: int) -> None:
        self._train_inputs = self._draw(self.distribution, "train_inputs", self.train_sizes, epoch)
        self._train_samples = None
        self._train_epoch = epoch

    def _augmented(self, inputs: Tensor) -> Samples:
        """Only once training begins: the teacher is made, conditioned and restored after `setup`."""
        if self.augmentation is None:
            return Samples(inputs)
        generators = replicate_generators("augmentation", self.seed, self.replicates, self._train_epoch)
        return self.augmentation(Samples(inputs), generators, self.trainer.lightning_module.teacher)

    def _draw(self, distribution: InputDistribution, purpose: Purpose, sizes: list[int], epoch: int = 0) -> Tensor:
        with self.trainer.precision_plugin.tensor_init_context():
            inputs = torch.zeros(self.replicates, max(sizes), self.dim)
            generators = replicate_generators(purpose, self.seed, self.replicates, epoch)
            for replicate, (size, generator) in enumerate(zip(sizes, generators, strict=True)):
                alone = of_replicate(distribution, replicate, self.replicates)
                inputs[replicate, :size] = alone.sample(size, self.dim, generator)
        return inputs.to(self.trainer.strategy.root_device)
