"""The base class of tsl's LightningModules: takes an optimizer step for each minibatch of a chunk, and logs."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from tsl.data import DataModule
from tsl.data.samples import gather
from tsl.errors import DivergenceError, InputError
from tsl.metrics.replicates import ReplicateMean, replicate_scalars
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.fused_steps import FusedSteps, why_eager
from tsl.modules.sgd import check_rates, check_schedule, rates_of
from tsl.names import LEARNING_RATE, TRAIN_LOSS, VAL_ACCURACY, VAL_LOSS
from tsl.networks import TrainableNetwork
from tsl.randomness import replicate_generators

IN_PROGRESS_BAR = (TRAIN_LOSS, VAL_LOSS, VAL_ACCURACY)


class StepModule(pl.LightningModule):
    """Trains R networks side by side on chunks of K minibatches. Losses are summed over replicates: none mix.

    Args:
        optimizer: Makes the optimizer of the trained parameters.
        lr_scheduler: Makes a learning-rate schedule, stepped once an epoch.
        replicates: Number R of independent networks.
        seed: Seed of replicate 0; replicate r has seed + r.
        steps: Whether steps are taken one by one with autograd ("eager"), many in one compiled call ("fused"), or so
            wherever that computes the same ("auto").

    Attributes:
        replicate_groups: The replicates that have the same settings, by what sets them apart within the run, such as
            "polarity=1"; empty before the run starts, when `RunFiles` sets it.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None,
        replicates: int,
        seed: int,
        steps: Literal["auto", "eager", "fused"] = "eager",
    ) -> None:
        super().__init__()
        self.steps = steps
        self.fused_steps: FusedSteps | None = None
        self.automatic_optimization = False
        self.make_optimizer = optimizer
        self.make_lr_scheduler = lr_scheduler
        self.replicates = replicates
        self.seed = seed
        self.replicate_groups: dict[str, list[int]] = {}
        self.train_loss = ReplicateMean(replicates)
        self.train_loss.persistent(True)  # for a run that is resumed within an epoch
        self.val_loss = ReplicateMean(replicates)
        self.is_made = False

    @property
    def data(self) -> DataModule:
        """The data that the Trainer was given.

        Raises:
            InputError: If it is no `tsl.data.DataModule`.
        """
        data = self.trainer.datamodule
        if not isinstance(data, DataModule):
            raise InputError(
                f"data is a {type(data).__name__}: expected a tsl.data.DataModule, whose batches have a replicate "
                "axis. Derive your LightningDataModule from it (three methods: draw, train_samples, val_samples), "
                "and give it as trainer.fit(module, datamodule=…) or data.class_path"
            )
        return data

    def configure_model(self) -> None:
        """Make and initialize the networks, in the Trainer's precision and on its device, and show them to the data.

        Raises:
            InputError: If the data is no `tsl.data.DataModule`, or a setting does not fit the networks.
        """
        if not self.is_made:
            self.make_networks(self.data if self.trainer.state.fn == "fit" else None)
        self.show_networks(self.data)

    @abstractmethod
    def make_networks(self, data: DataModule | None = None) -> None:
        """Make and initialize the networks, in the default precision.

        Args:
            data: The data that they will train on; None if their weights come from a checkpoint.
        """

    @abstractmethod
    def show_networks(self, data: DataModule) -> None:
        """Give the data what it needs to know of the networks: `DataModule.teacher` and `suited_batch_size`."""

    @property
    @abstractmethod
    def trained_network(self) -> TrainableNetwork:
        """The networks whose parameters are trained, except frozen ones."""

    def trained_parameters(self) -> list[nn.Parameter]:
        """All parameters that the optimizer gets."""
        return [parameter for parameter in self.trained_network.parameters() if parameter.requires_grad]

    @abstractmethod
    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """From the trained networks' outputs for a minibatch and its targets to one loss for each replicate, `[R]`."""

    def minibatch_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One loss for each replicate `[R]`, of inputs `[R, B, ...]` and targets `[R, B, ...]`."""
        return self.objective(self.trained_network(inputs), targets)

    def after_step(self) -> None:
        """Called after every optimizer step; does nothing here."""

    def configure_optimizers(self) -> Any:
        """The optimizer of the trained parameters and, where asked for, its schedule."""
        optimizer = self.make_optimizer(self.trained_parameters())
        check_rates(optimizer, self.trained_network)
        self.fused_steps = self._fuse(optimizer)
        if self.make_lr_scheduler is None:
            return optimizer
        schedule = self.make_lr_scheduler(optimizer)
        check_schedule(optimizer, schedule)
        return [optimizer], [schedule]

    def _fuse(self, optimizer: Any) -> FusedSteps | None:
        """The compiled steps, if the settings ask for them or they compute the same; else None."""
        if self.steps == "eager" or self._trainer is None or self.trainer.state.fn != "fit":
            return None
        reason = why_eager(self, optimizer)
        if reason is not None and self.steps == "fused":
            raise InputError(f"model.init_args.steps is fused, but {reason}: set it to auto or eager, or change that")
        print_once = rank_zero_only(print)
        print_once("steps: fused (compiled, many in one call)" if reason is None else f"steps: eager, because {reason}")
        network: Any = self.trained_network  # an MLP, if there is no reason
        return FusedSteps(network, optimizer, self.loss, self.normalize_weights) if reason is None else None

    def check_batch_norm(self, remedy: str) -> None:
        """Refuse data and devices with which BatchNorm in the trained networks would not work.

        Args:
            remedy: The setting that leaves BatchNorm out, in a message's words.

        Raises:
            InputError: If several processes share a minibatch, or it is a single sample.
        """
        if not self.trained_network.batch_norm:
            return
        if self.trainer.world_size > 1:
            raise InputError(
                f"BatchNorm would see only a process's share of each minibatch: set trainer.devices to 1 "
                f"(now {self.trainer.world_size} processes), or {remedy}"
            )
        if self.data.sampler.batch_size == 1:
            raise InputError(
                "data.init_args.batch_size = 1: BatchNorm needs a variance over the batch, so give at least 2"
            )

    def steps_left(self) -> int | None:
        """How many optimizer steps `trainer.max_steps` leaves; None without such a limit, as the end of a slice."""
        return None if self.trainer.max_steps < 0 else self.trainer.max_steps - self.trainer.global_step

    def take_steps(self, inputs: Tensor, targets: Tensor, index: Tensor) -> None:
        """Take one optimizer step for each of K minibatches.

        Args:
            inputs: `[R, N, ...]`.
            targets: What `objective` gets beside the outputs, `[R, N, ...]`.
            index: Which of the N each minibatch takes, `[R, K, B]`.

        Raises:
            DivergenceError: If a loss is not finite.
        """
        if self.fused_steps is None:
            losses = self._take_eager_steps(inputs, targets, index.to(inputs.device))
        else:
            losses = self.fused_steps(inputs, targets, index)
            self._count_steps(len(losses))
        self._record_train_losses(losses)

    def _take_eager_steps(self, inputs: Tensor, targets: Tensor, index: Tensor) -> Tensor:
        """K steps with autograd; returns the losses `[K, R]`."""
        optimizer = self.optimizers()
        trained = self.trained_parameters()
        losses = []
        for rows in index.unbind(dim=1):
            if self.trained_network.is_random:
                self._seed_dropout()
            loss = self.minibatch_loss(gather(inputs, rows), gather(targets, rows))
            for parameter in trained:
                parameter.grad = None  # what optimizer.zero_grad does in five times the time
            self.manual_backward(loss.sum())
            optimizer.step()
            self.after_step()
            losses.append(loss.detach())
        return torch.stack(losses)

    def _count_steps(self, steps: int) -> None:
        """Count steps in `trainer.global_step`, as each step of a Lightning optimizer does."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for tracker in (progress.total, progress.current):
            tracker.ready += steps
            tracker.completed += steps

    def _seed_dropout(self) -> None:
        """Draw new masks for each step and process, so that a run can be resumed exactly at any step."""
        step = self.trainer.global_step * self.trainer.world_size + self.trainer.global_rank
        self.trained_network.seed_dropout(replicate_generators("dropout", self.seed, self.replicates, step))

    def _record_train_losses(self, losses: Tensor) -> None:
        if not losses.isfinite().all():
            diverged = (~losses.isfinite().all(dim=0)).nonzero().flatten().tolist()
            raise DivergenceError(
                f"the training loss is not finite in epoch {self.trainer.current_epoch + 1}, replicates {diverged}: "
                "lower the learning rate (model.init_args.optimizer.init_args.lr). "
                "Records, metrics and checkpoints of earlier epochs are kept"
            )
        self.train_loss.update(losses)

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's mean training loss; not called when a run is resumed within an epoch."""
        self.train_loss.reset()

    def on_train_epoch_end(self) -> None:
        """Log the mean training loss of the epoch and its learning rate, and step the learning-rate schedule."""
        group = self.optimizers().optimizer.param_groups[0]
        rates = torch.tensor(rates_of(group, self.replicates), dtype=torch.float64)
        self.log_scalars({TRAIN_LOSS: self.train_loss.compute(), LEARNING_RATE: rates})
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics[VAL_LOSS])
        elif scheduler is not None:
            scheduler.step()

    def log_scalars(self, quantities: Mapping[str, Tensor]) -> None:
        """Log quantities of an epoch against the epoch (0 is before training) and the optimizer step.

        Loggers get them directly, a series for each of the `replicate_groups`: Lightning would count epochs from 0 and
        chunks for steps, and drop what its sanity check finds. Its own `log` gets the mean over all replicates, for the
        progress bar, ReduceLROnPlateau and callbacks that monitor a scalar.

        Args:
            quantities: Of each, by its name, one value for each replicate, `[R]`.
        """
        trainer = self.trainer
        fitting = trainer.state.fn == "fit"
        grouped: dict[str, Tensor] = {}
        for name, values in quantities.items():
            grouped |= replicate_scalars(name, values, self.replicate_groups)
            for scalar, value in replicate_scalars(name, values).items():
                self._log(scalar, value, to_loggers=not fitting and len(self.replicate_groups) < 2)
        if not fitting and len(self.replicate_groups) > 1:
            for scalar, value in grouped.items():
                self._log(scalar, value, to_loggers=True)
        if fitting and (not trainer.sanity_checking or is_recorded(trainer)):
            numbers = {scalar: float(value) for scalar, value in grouped.items()}
            for logger in trainer.loggers:
                logger.log_metrics(numbers | {"epoch": evaluated_epoch(trainer)}, step=trainer.global_step)

    def _log(self, scalar: str, value: Tensor, to_loggers: bool) -> None:
        in_bar = scalar in IN_PROGRESS_BAR
        self.log(scalar, value.to(self.device), on_epoch=True, prog_bar=in_bar, logger=to_loggers, sync_dist=True)


def check_shapes(saved: Mapping[str, Tensor], here: Mapping[str, Tensor], settings: str) -> None:
    """Refuse a checkpoint of other networks.

    Args:
        saved: Its tensors by name.
        here: Those that it is loaded into.
        settings: The settings that the shapes follow from, in a message's words.

    Raises:
        InputError: Naming every tensor of another shape.
    """
    differing = [
        f"  {name} is {list(saved[name].shape) if name in saved else 'missing'} in the checkpoint, "
        f"{list(here[name].shape) if name in here else 'missing'} here"
        for name in sorted(saved.keys() | here.keys())
        if name not in saved or name not in here or saved[name].shape != here[name].shape
    ]
    if differing:
        lines = "\n".join(differing)
        raise InputError(
            f"the checkpoint of --ckpt_path holds other networks:\n{lines}\nset {settings} as they were, or leave "
            "--ckpt_path out"
        )
