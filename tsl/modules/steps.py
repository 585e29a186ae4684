"""The base class of tsl's LightningModules: takes an optimizer step for each minibatch of a chunk, and logs."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

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
from tsl.modules.sgd import check_optimizer, check_rates, check_schedule, rates_of
from tsl.modules.why_eager import why_eager
from tsl.names import LEARNING_RATE, TRAIN_LOSS, VAL_ACCURACY, VAL_LOSS
from tsl.networks import TrainableNetwork
from tsl.processes import gather_replicates, minibatch_share
from tsl.randomness import replicate_generators

if TYPE_CHECKING:
    from tsl.modules.compiled.fused_steps import FusedSteps

print_once = rank_zero_only(print)

IN_PROGRESS_BAR = (TRAIN_LOSS, VAL_LOSS, VAL_ACCURACY)


class StepModule(pl.LightningModule):
    """Trains R networks together on chunks of K minibatches; losses are summed, so gradients of replicates never mix.

    Args:
        optimizer: Makes the optimizer of the trained parameters.
        lr_scheduler: Makes a learning-rate schedule, stepped once an epoch.
        replicates: Number R of independent networks.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
        steps: Whether steps are taken one by one with autograd ("eager"), many in one compiled call ("fused"), or fused
            whenever that computes the same ("auto").
        on_divergence: What happens when the loss or a weight of a replicate is no longer finite: the run stops
            ("stop"), or that replicate stays as it was after its last finite step and the others train on ("freeze").

    Attributes:
        diverged: Which replicates are frozen for that reason, bool `[R]`. Their training loss is NaN, and logged
            means leave them out.
        replicate_groups: The replicates that have the same settings, by the settings that differ in the run, such as
            "polarity=1"; `RunFiles` sets it when the run starts, and it is empty before.
        max_steps: `trainer.max_steps`, if there is such a limit: the run ends after the epoch that reaches it.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None,
        replicates: int,
        seed: int | list[int],
        steps: Literal["auto", "eager", "fused"] = "eager",
        on_divergence: Literal["stop", "freeze"] = "stop",
    ) -> None:
        super().__init__()
        self.steps = steps
        self.on_divergence = on_divergence
        self.diverged: Tensor
        self.register_buffer("diverged", torch.zeros(replicates, dtype=torch.bool), persistent=False)
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
        self.max_steps: int | None = None

    @property
    def data(self) -> DataModule:
        """The data that the Trainer was given.

        Raises:
            InputError: If it is not a `tsl.data.DataModule`.
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
            InputError: If the data is not a `tsl.data.DataModule`, or a setting does not fit the networks.
        """
        if self.trainer.state.fn == "fit" and self.trainer.max_steps > 0:
            # Lightning would stop within an epoch; a resumed run would skip its rest and count the epoch twice.
            self.max_steps = self.trainer.max_steps
            self.trainer.fit_loop.epoch_loop.max_steps = -1
        if not self.is_made:
            self.make_networks(self.data if self.trainer.state.fn == "fit" else None)
            self._check_weights()
        self.show_networks(self.data)

    def _check_weights(self) -> None:
        """Refuse networks whose initial weights are not finite.

        Raises:
            InputError: If there are such weights; the message names the first tensor.
        """
        for name, tensor in self.state_dict().items():
            if not tensor.isfinite().all():
                raise InputError(
                    f"{name} has NaN or infinite values before training: correct the network's initialization, or the "
                    "file that its weights come from (model.init_args)"
                )

    @abstractmethod
    def make_networks(self, data: DataModule | None = None) -> None:
        """Make and initialize the networks, in the default precision.

        Args:
            data: The data for their training; None if their weights come from a checkpoint.
        """

    @abstractmethod
    def show_networks(self, data: DataModule) -> None:
        """Set what the data needs from the networks: `DataModule.teacher` and `suited_batch_size`."""

    @property
    @abstractmethod
    def trained_network(self) -> TrainableNetwork:
        """The networks whose parameters are trained, except frozen ones."""

    def trained_parameters(self) -> list[nn.Parameter]:
        """All parameters for the optimizer."""
        return [parameter for parameter in self.trained_network.parameters() if parameter.requires_grad]

    @abstractmethod
    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each replicate, `[R]`, from the trained networks' outputs for a minibatch and its targets."""

    def minibatch_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each replicate, `[R]`, from inputs `[R, B, ...]` and targets `[R, B, ...]`."""
        return self.objective(self.trained_network(inputs), targets)

    def after_step(self) -> None:
        """Called after every optimizer step; does nothing here."""

    def configure_optimizers(self) -> Any:
        """The optimizer of the trained parameters and its schedule, if there is one.

        Raises:
            InputError: If a schedule or `on_divergence` does not suit the optimizer or the devices.
        """
        if self.on_divergence == "freeze" and self._trainer is not None and self.trainer.world_size > 1:
            raise InputError(
                f"model.init_args.on_divergence = freeze needs a single process, but there are "
                f"{self.trainer.world_size}: set trainer.devices to 1, or on_divergence to stop"
            )
        try:
            optimizer = self.make_optimizer(self.trained_parameters())
            schedule = None if self.make_lr_scheduler is None else self.make_lr_scheduler(optimizer)
        except InputError:
            raise
        except (TypeError, ValueError, KeyError, RuntimeError, ArithmeticError) as error:  # torch's own checks
            raise InputError(f"model.init_args.optimizer or lr_scheduler: {' '.join(str(error).split())}") from error
        check_optimizer(optimizer, self.replicates)
        check_rates(optimizer, self.trained_network)
        self.fused_steps = self._fuse(optimizer)
        if schedule is None:
            return optimizer
        check_schedule(optimizer, schedule)
        return [optimizer], [schedule]

    def _fuse(self, optimizer: Any) -> "FusedSteps | None":
        """The compiled steps, if `steps` is fused, or is auto and they compute the same; else None."""
        if self.steps == "eager" or self._trainer is None or self.trainer.state.fn != "fit":
            return None
        reason = why_eager(self, optimizer)
        if reason is not None and self.steps == "fused":
            raise InputError(f"model.init_args.steps = fused, but {reason}: set steps to auto or eager, or change that")
        if reason is not None:
            print_once(f"steps: eager, because {reason}")
            return None
        from tsl.modules.compiled.fused_steps import FusedSteps, is_kept  # imports numba, which eager runs do not need

        first = "" if is_kept() else "; compiling takes about ten seconds, once on a machine"
        print_once(f"steps: fused (compiled, many in one call{first})")
        network: Any = self.trained_network  # an MLP, since there is no reason
        return FusedSteps(network, optimizer, self.loss, self.normalize_weights)

    def check_batch_norm(self, remedy: str) -> None:
        """Refuse data and devices with which BatchNorm in the trained networks would not work.

        Args:
            remedy: Part of the message: the setting that leaves BatchNorm out, and its value.

        Raises:
            InputError: If several processes share a minibatch, or it is a single sample.
        """
        if not self.trained_network.batch_norm:
            return
        if minibatch_share(self.trainer)[1] > 1:
            raise InputError(
                f"BatchNorm needs whole minibatches, but {self.trainer.world_size} processes share each: set "
                f"trainer.devices to 1 or trainer.strategy to replicates, or {remedy}"
            )
        if self.data.sampler.batch_size == 1:
            raise InputError(
                "data.init_args.batch_size = 1: BatchNorm needs a variance over the batch; set it to at least 2"
            )

    def take_steps(self, inputs: Tensor, targets: Tensor, index: Tensor) -> None:
        """Take one optimizer step for each of K minibatches.

        Args:
            inputs: `[R, N, ...]`.
            targets: Targets for `objective`, `[R, N, ...]`.
            index: The indices of the samples in each minibatch, `[R, K, B]`.

        Raises:
            DivergenceError: If a loss is not finite, or, with `on_divergence` freeze, all replicates have diverged.
        """
        before = self.diverged.clone()
        if self.fused_steps is None:
            losses = self._take_eager_steps(inputs, targets, index.to(inputs.device))
        else:
            losses = self.fused_steps(inputs, targets, index, self.diverged if self.on_divergence == "freeze" else None)
            self._count_steps(len(losses))
        self._record_train_losses(losses, before)

    def _take_eager_steps(self, inputs: Tensor, targets: Tensor, index: Tensor) -> Tensor:
        """K steps with autograd; returns the losses `[K, R]`."""
        optimizer = self.optimizers()
        trained = self.trained_parameters()
        losses = []
        for rows in index.unbind(dim=1):
            if self.trained_network.is_random:
                self._seed_dropout()
            loss = self.minibatch_loss(gather(inputs, rows), gather(targets, rows))
            kept = self._copy_of_state() if self.on_divergence == "freeze" else None
            for parameter in trained:
                parameter.grad = None  # five times as fast as optimizer.zero_grad
            self.manual_backward(loss.sum())
            optimizer.step()
            self.after_step()
            loss = loss.detach()
            losses.append(loss if kept is None else self._freeze(kept, loss))
        return torch.stack(losses)

    def _copy_of_state(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.trained_network.state_dict().items()}

    def _freeze(self, kept: Mapping[str, Tensor], loss: Tensor) -> Tensor:
        """Undo the step for replicates that diverged in it or before.

        Args:
            kept: The networks' state before the step, each `[R, ...]`.
            loss: Loss of the step, `[R]`.

        Returns:
            The loss, NaN for these replicates.
        """
        state = self.trained_network.state_dict()
        for values in (loss, *state.values()):
            self.diverged |= ~values.reshape(self.replicates, -1).isfinite().all(dim=1)
        if self.diverged.any():
            for name, values in state.items():
                values[self.diverged] = kept[name][self.diverged]
            for parameter in self.trained_network.parameters():
                if parameter.grad is not None:
                    parameter.grad[self.diverged] = torch.nan
        return loss.masked_fill(self.diverged, torch.nan)

    def _count_steps(self, steps: int) -> None:
        """Count steps in `trainer.global_step`, as each step of a Lightning optimizer does."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for tracker in (progress.total, progress.current):
            tracker.ready += steps
            tracker.completed += steps

    def _seed_dropout(self) -> None:
        """Draw new masks for each step and process, so that a run can be resumed exactly at any step."""
        rank, world_size = minibatch_share(self.trainer)
        step = self.trainer.global_step * world_size + rank
        self.trained_network.seed_dropout(replicate_generators("dropout", self.seed, self.replicates, step))

    def _record_train_losses(self, losses: Tensor, before: Tensor) -> None:
        """Add the losses `[K, R]` of steps; the replicates `before` had diverged before them."""
        diverged = self.diverged & ~before if self.on_divergence == "freeze" else ~losses.isfinite().all(dim=0)
        diverged = gather_replicates(self.trainer, {"diverged": diverged})["diverged"]
        if diverged.any():
            self._report_divergence(diverged.nonzero().flatten().tolist(), len(losses))
        self.train_loss.update(losses)

    def on_train_start(self) -> None:
        """Limit the epochs to the number that contains `trainer.max_steps`; the last one is trained whole."""
        if self.max_steps is not None:
            trainer, sampler = self.trainer, self.data.sampler
            steps = int(min(sampler.steps_per_epoch, trainer.num_training_batches * sampler.chunk_size))
            epochs = -(-self.max_steps // steps)
            if self.max_steps % steps and not trainer.fast_dev_run:
                print_once(
                    f"trainer.max_steps = {self.max_steps} is within epoch {epochs}: the run ends after that epoch, "
                    f"at step {epochs * steps}, because epochs are always trained whole"
                )
            if trainer.max_epochs == -1 or epochs < trainer.max_epochs:
                trainer.fit_loop.max_epochs = epochs
        self._announce_missed_checkpoints()
        self._finish_epoch()

    def _announce_missed_checkpoints(self) -> None:
        """Print if checkpoints are asked for at steps within a chunk, where Lightning cannot write them."""
        chunk, steps = self.data.sampler.chunk_size, self.data.sampler.steps_per_epoch
        for callback in self.trainer.checkpoint_callbacks:
            every = getattr(callback, "_every_n_train_steps", 0)  # it has no public name
            common = math.gcd(every, steps)
            if every and common % chunk and common != steps:
                print_once(
                    f"checkpoint.every_n_train_steps = {every}: steps are taken in chunks of {chunk}, and checkpoints "
                    "are written only between chunks, so some are left out. To get all, set data.init_args.chunk_size "
                    f"to {math.gcd(common, chunk)}"
                )

    def _finish_epoch(self) -> None:
        """Prevent a stop, such as by `trainer.max_time`, before the end of the epoch that begins."""
        loop = self.trainer.fit_loop
        loop.min_epochs = max(loop.min_epochs or 0, self.trainer.current_epoch + 1)

    def _report_divergence(self, replicates: list[int], steps: int) -> None:
        """Stop the run if replicates diverged within the last steps; print that they are frozen if others train on.

        Raises:
            DivergenceError: If `on_divergence` is stop, or no replicate is left.
        """
        label = {r: label for label, members in self.replicate_groups.items() for r in members if label}
        named = ", ".join(f"{r} ({label[r]})" if r in label else str(r) for r in replicates)
        everyone = len(replicates) == self.replicates > 1 and not label
        named = f"all {self.replicates} replicates" if everyone else f"replicates {named}"
        where = f"in epoch {self.trainer.current_epoch + 1}, {named}"
        if self.on_divergence == "freeze" and not self.diverged.all():
            print_once(f"the training loss or a weight is not finite {where}: frozen at their last finite step")
            return
        remedy = "lower the learning rate (model.init_args.optimizer.init_args.lr)"
        if self.trainer.global_step <= steps:
            remedy += ", or the scale of the inputs and of initial weights (data.init_args, model.init_args)"
        if self.on_divergence == "stop" and len(replicates) < self.replicates and self.trainer.world_size == 1:
            remedy += (
                ". To go on without these replicates, resume with --model.init_args.on_divergence freeze --ckpt_path "
                "last"
            )
        raise DivergenceError(
            f"the training loss is not finite {where}: {remedy}. Records, metrics and checkpoints of earlier epochs "
            "are kept"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store which replicates are frozen, if there are any."""
        if self.diverged.any():
            checkpoint["diverged"] = self.diverged.cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Freeze the replicates that were frozen in the checkpoint.

        Raises:
            InputError: If there are any, and `on_divergence` is stop.
        """
        if "diverged" not in checkpoint:
            return
        self.diverged.copy_(checkpoint["diverged"])
        if self.on_divergence == "stop":
            raise InputError(
                f"replicates {self.diverged.nonzero().flatten().tolist()} of the checkpoint diverged and are frozen: "
                "set model.init_args.on_divergence to freeze"
            )

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's mean training loss; not called when a run is resumed within an epoch."""
        self._finish_epoch()
        self.train_loss.reset()

    def on_train_epoch_end(self) -> None:
        """Log the mean training loss of the epoch and its learning rate, and step the learning-rate schedule."""
        group = self.optimizers().optimizer.param_groups[0]
        rates = torch.tensor(rates_of(group, self.replicates), dtype=torch.float64)
        self.log_scalars({TRAIN_LOSS: self.train_loss.compute(), LEARNING_RATE: rates})
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            if self._is_evaluated():
                scheduler.step(self.trainer.callback_metrics[VAL_LOSS])
        elif scheduler is not None:
            scheduler.step()

    def _is_evaluated(self) -> bool:
        """Whether the epoch that ends was evaluated; only then there is a new validation loss."""
        every = self.trainer.check_val_every_n_epoch or 1
        return VAL_LOSS in self.trainer.callback_metrics and (self.trainer.current_epoch + 1) % every == 0

    def log_scalars(self, quantities: Mapping[str, Tensor]) -> None:
        """Log quantities of an epoch against the epoch (0 is before training) and the optimizer step.

        Loggers get them directly, one series for each of the `replicate_groups`, because Lightning would count epochs
        from 0 and chunks as steps, and would drop the values of its sanity check. Lightning's own `log` gets the mean
        over all replicates, for the progress bar, ReduceLROnPlateau and callbacks that monitor a scalar. Replicates
        that diverged are left out.

        Args:
            quantities: By name, the values of all replicates, `[R]`.
        """
        trainer = self.trainer
        fitting = trainer.state.fn == "fit"
        quantities = gather_replicates(trainer, {**quantities, "diverged": self.diverged})
        everyone = {"": [r for r, diverged in enumerate(quantities.pop("diverged").tolist()) if not diverged]}
        groups = {label: [r for r in group if r in everyone[""]] for label, group in self.replicate_groups.items()}
        grouped: dict[str, Tensor] = {}
        for name, values in quantities.items():
            grouped |= replicate_scalars(name, values, groups or everyone)
            for scalar, value in replicate_scalars(name, values, everyone).items():
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
        saved: The checkpoint's tensors by name.
        here: The tensors into which it is loaded.
        settings: Part of the message: the settings that determine the shapes.

    Raises:
        InputError: If shapes differ; the message lists every tensor of another shape.
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
            f"the checkpoint of --ckpt_path is of other networks:\n{lines}\nset {settings} as in the checkpoint's run, "
            "or leave --ckpt_path out"
        )
