"""Synthetic inputs, drawn for every replicate from its own seed."""

import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Tensor

from tsl.data.distributions import InputDistribution
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.randomness import Purpose, replicate_generators


class SyntheticDataModule(pl.LightningDataModule):
    """Inputs from a distribution; the teacher answers them, so there are no labels.

    Training batches are chunks `[K, R, B, dim]` of K minibatches, evaluation batches `[R, B, dim]`.

    Args:
        distribution: Where the inputs come from.
        dim: Input dimension d.
        train_size: Training inputs N of every replicate.
        val_size: Evaluation inputs of every replicate.
        batch_size: Inputs in a minibatch.
        steps_per_epoch: Minibatches in an epoch; as many as the training inputs fill where not given.
        replacement: Draw each minibatch from all training inputs, rather than going through a permutation of them.
        fresh_inputs: Draw new training inputs in every epoch.
        evaluate_train: Evaluate on the training inputs as well.
        chunk_size: Minibatches handed to the module at a time, a matter of speed alone.
        eval_batch_size: Inputs in an evaluation batch, a matter of speed and memory alone.
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0; replicate r has seed + r.
    """

    def __init__(
        self,
        distribution: InputDistribution,
        dim: PositiveInt,
        train_size: PositiveInt,
        val_size: PositiveInt,
        batch_size: PositiveInt = 16,
        steps_per_epoch: PositiveInt | None = None,
        replacement: bool = False,
        fresh_inputs: bool = False,
        evaluate_train: bool = False,
        chunk_size: PositiveInt = 50,
        eval_batch_size: PositiveInt = 500,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.distribution = distribution
        self.dim = dim
        self.train_size = train_size
        self.val_size = val_size
        self.fresh_inputs = fresh_inputs
        self.evaluate_train = evaluate_train
        self.eval_batch_size = eval_batch_size
        self.replicates = replicates
        self.seed = seed
        self.sampler = MinibatchSampler(
            train_size,
            batch_size,
            steps_per_epoch=steps_per_epoch,
            chunk_size=chunk_size,
            replacement=replacement,
            replicates=replicates,
            seed=seed,
        )
        self._val_inputs: Tensor
        self._train_inputs: Tensor
        self._train_inputs_epoch = 0

    def setup(self, stage: str) -> None:
        """Draw the inputs, in the Trainer's precision and on its device."""
        self._val_inputs = self._draw("val_inputs", self.val_size)
        if stage == "fit" or self.evaluate_train:
            self._train_inputs = self._draw("train_inputs", self.train_size)
            self._train_inputs_epoch = 0

    def teardown(self, stage: str) -> None:
        """Free the inputs."""
        del self._val_inputs
        if stage == "fit" or self.evaluate_train:
            del self._train_inputs

    def train_dataloader(self) -> ChunkLoader:
        """Chunks of minibatches of the training inputs."""
        return ChunkLoader(self.train_inputs, self.sampler, self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> list[EvaluationLoader]:
        """The evaluation inputs and, where asked for, the training inputs."""
        share = self.trainer.global_rank, self.trainer.world_size
        loaders = [EvaluationLoader("val", lambda: self._val_inputs, self.eval_batch_size, *share)]
        if self.evaluate_train:
            loaders.append(EvaluationLoader("train", lambda: self._train_inputs, self.eval_batch_size, *share))
        return loaders

    def train_inputs(self, epoch: int) -> Tensor:
        """The training inputs `[R, N, dim]` of an epoch counted from 0."""
        if self.fresh_inputs and epoch != self._train_inputs_epoch:
            self._train_inputs = self._draw("train_inputs", self.train_size, epoch)
            self._train_inputs_epoch = epoch
        return self._train_inputs

    def conditioning_inputs(self) -> Tensor:
        """The inputs that teachers are conditioned on, `[R, at most 100,000, dim]`: training inputs of the first epoch.

        So many tell a node's median to within 0.2 % of the inputs; more would only take memory.
        """
        return self.train_inputs(0)[:, :100_000]

    def _draw(self, purpose: Purpose, size: int, epoch: int = 0) -> Tensor:
        with self.trainer.precision_plugin.tensor_init_context():
            inputs = torch.empty(self.replicates, size, self.dim)
            for replicate, generator in enumerate(replicate_generators(purpose, self.seed, self.replicates, epoch)):
                inputs[replicate] = self.distribution.sample(size, self.dim, generator)
        return inputs.to(self.trainer.strategy.root_device)
