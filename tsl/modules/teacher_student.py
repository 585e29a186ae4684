"""The LightningModule that trains students on the outputs of fixed teachers."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from tsl.errors import DivergenceError, InputError
from tsl.metrics.replicates import ReplicateMaximum, ReplicateMean, replicate_scalars
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.losses import half_squared_error, mse
from tsl.modules.student import StudentChanges, freeze_all_but, make_student
from tsl.networks import (
    MLP,
    Activations,
    Initialization,
    condition,
    effective_layers,
    normalize_weights_,
)
from tsl.randomness import replicate_generators
from tsl.theory.gradient_rule import backpropagated_error, gate

Loss = Callable[[Tensor, Tensor], Any]
"""From student and teacher outputs `[R, B, outputs]` to one loss for each replicate, `[R]`. The result is said to be
Any, because jsonargparse takes a class there for the base of those that may be named by class_path."""

sgd = partial(torch.optim.SGD, lr=0.01)
"""The paper's optimizer for two-layer networks."""


class Observation(NamedTuple):
    """What both networks computed for one batch of evaluation inputs."""

    teacher: Activations
    student: Activations


class TeacherStudent(pl.LightningModule):
    """Train R over-realized students, each on the outputs of its own fixed teacher.

    A training batch is a chunk of K minibatches `[K, R, B, d]`, for which K optimizer steps are taken; an evaluation
    batch is `[R, B, d]`. Losses are summed over replicates, so that gradients never mix.

    Args:
        teacher: Makes a teacher for a number of replicates, such as `tsl.networks.MLP` with everything but that.
        teacher_initialization: How the teachers' weights are drawn.
        student_initialization: How the students' weights start.
        multiplier: Student nodes for each teacher node, in every hidden layer.
        student_widths: The student's nodes in each hidden layer, instead of `multiplier`.
        student: In what else the student's network differs from the teacher's.
        loss: Objective, from student and teacher outputs `[R, B, outputs]` to one loss for each replicate, `[R]`: a
            function by its import path, or a class with such a `__call__` by class_path.
        optimizer: Makes the optimizer of the students' trained parameters. It has to work elementwise (SGD, Adam, …),
            or replicates would influence each other.
        lr_scheduler: Makes a learning-rate schedule, stepped once an epoch.
        trained_layers: Layers of the student that are trained, counted from 1 at the input to L + 1 at the output;
            all where None. The others keep their initial weights.
        condition_teacher: Before training, shift and scale the teacher to suit the training inputs: every hidden node
            active on half of them, every output of mean 0 and variance 1 (`tsl.networks.condition`).
        normalize_weights: Scale the student's nodes to unit norm after every optimizer step
            (`tsl.networks.normalize_weights_`).
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0; replicate r has seed + r.
    """

    def __init__(
        self,
        teacher: Callable[[int], MLP],
        teacher_initialization: Initialization,
        student_initialization: Initialization,
        multiplier: PositiveFloat = 1.0,
        student_widths: list[PositiveInt] | None = None,
        student: StudentChanges | None = None,
        loss: Loss = half_squared_error,
        optimizer: OptimizerCallable = sgd,
        lr_scheduler: LRSchedulerCallable | None = None,
        trained_layers: list[PositiveInt] | None = None,
        condition_teacher: bool = False,
        normalize_weights: bool = False,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.make_teacher = teacher
        self.teacher_initialization = teacher_initialization
        self.student_initialization = student_initialization
        self.multiplier = multiplier
        self.student_widths = student_widths
        self.student_changes = student
        self.loss = loss
        self.make_optimizer = optimizer
        self.make_lr_scheduler = lr_scheduler
        self.trained_layers = trained_layers
        self.condition_teacher = condition_teacher
        self.normalize_weights = normalize_weights
        self.teacher_activity: list[Tensor] = []
        self.weight_gradients: dict[int, Tensor] = {}
        self.replicates = replicates
        self.seed = seed
        self.train_loss = ReplicateMean(replicates)
        self.train_loss.persistent(True)  # for a run that goes on within an epoch
        self.val_loss = ReplicateMean(replicates)
        self.val_mse = ReplicateMean(replicates)
        self.gradient_sup_norm = ReplicateMaximum(replicates)

    def configure_model(self) -> None:
        """Make and initialize both networks, in the Trainer's precision and on its device.

        Raises:
            InputError: If a setting does not fit the networks.
        """
        if hasattr(self, "student"):
            return
        self.teacher = self.make_teacher(self.replicates)
        self.teacher.eval().requires_grad_(False)
        self.student = make_student(self.teacher, self.multiplier, self.student_widths, self.student_changes)
        teacher_generators = replicate_generators("teacher", self.seed, self.replicates)
        student_generators = replicate_generators("student", self.seed, self.replicates)
        self.teacher_initialization(self.teacher, teacher_generators)
        if self.condition_teacher and self.trainer.state.fn == "fit":  # else its weights come from a checkpoint
            self._check_inputs()
            self.teacher_activity = condition(self.teacher, self.trainer.datamodule.conditioning_inputs())
        self.student_initialization(self.student, student_generators, self.teacher)
        if self.trained_layers is not None:
            freeze_all_but(self.student, self.trained_layers)

    def configure_optimizers(self) -> Any:
        """The optimizer of the trained parameters and, where asked for, its schedule."""
        optimizer = self.make_optimizer([p for p in self.student.parameters() if p.requires_grad])
        if self.make_lr_scheduler is None:
            return optimizer
        return [optimizer], [self.make_lr_scheduler(optimizer)]

    def on_fit_start(self) -> None:
        """Check that the data suits the networks.

        Raises:
            InputError: If inputs have another dimension, or minibatches have too few samples for BatchNorm.
        """
        self._check_inputs()
        if self.student.batch_norm and self.trainer.world_size > 1:
            raise InputError(
                f"BatchNorm sees only a process's share of each minibatch: set trainer.devices to 1 "
                f"(now {self.trainer.world_size} processes), or model.init_args.student.batch_norm to none"
            )
        batch_size = getattr(getattr(self.trainer.datamodule, "sampler", None), "batch_size", 2)
        if self.student.batch_norm and batch_size == 1:
            raise InputError(
                "data.init_args.batch_size = 1: BatchNorm needs a variance over the batch, so give at least 2"
            )

    def _check_inputs(self) -> None:
        data = self.trainer.datamodule
        if self.condition_teacher and not hasattr(data, "conditioning_inputs"):
            raise InputError(
                "model.init_args.condition_teacher needs a DataModule with a method conditioning_inputs(), inputs "
                f"[N, d] of each replicate, and {type(data).__name__} has none: add one, or set it to false"
            )
        dim = getattr(data, "dim", self.teacher.input_dim)
        if dim != self.teacher.input_dim:
            raise InputError(
                f"data.init_args.dim = {dim}, but model.init_args.teacher.init_args.input_dim = "
                f"{self.teacher.input_dim}: give both the same value"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a checkpoint fits the networks.

        Raises:
            InputError: Naming every tensor of another shape.
        """
        saved, here = checkpoint["state_dict"], self.state_dict()
        differing = [
            f"  {name} is {list(saved[name].shape) if name in saved else 'missing'} in the checkpoint, "
            f"{list(here[name].shape) if name in here else 'missing'} here"
            for name in sorted(saved.keys() | here.keys())
            if name not in saved or name not in here or saved[name].shape != here[name].shape
        ]
        if differing:
            raise InputError(
                "the checkpoint of --ckpt_path is of other networks:\n" + "\n".join(differing) + "\nset "
                "model.init_args.multiplier, model.init_args.teacher and replicates as they were, or leave "
                "--ckpt_path out"
            )

    def training_step(self, inputs: Tensor, batch_idx: int) -> None:
        """Take one optimizer step for each of the K minibatches in `inputs`, `[K, R, B, d]`."""
        if self.trainer.max_steps >= 0:
            inputs = inputs[: self.trainer.max_steps - self.trainer.global_step]
        # The teacher answers the whole chunk in one product for each layer: [R, K·B, d].
        targets = self.teacher(inputs.transpose(0, 1).flatten(1, 2))
        targets = targets.unflatten(1, (len(inputs), -1)).transpose(0, 1)
        optimizer = self.optimizers()
        trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        losses = []
        for step_inputs, step_targets in zip(inputs, targets, strict=True):
            if self.student.dropout:
                self._seed_dropout()
            loss = self.loss(self.student(step_inputs), step_targets)
            for parameter in trained:
                parameter.grad = None  # what optimizer.zero_grad does in five times the time
            self.manual_backward(loss.sum())
            optimizer.step()
            if self.normalize_weights:
                normalize_weights_(self.student)
            losses.append(loss.detach())
        self._record_train_losses(torch.stack(losses))

    def _seed_dropout(self) -> None:
        """Draw each step's masks anew, others in each process, so that a run resumes exactly wherever it stopped."""
        step = self.trainer.global_step * self.trainer.world_size + self.trainer.global_rank
        self.student.seed_dropout(replicate_generators("dropout", self.seed, self.replicates, step))

    def _record_train_losses(self, losses: Tensor) -> None:
        if not losses.isfinite().all():
            diverged = (~losses.isfinite().all(dim=0)).nonzero().flatten().tolist()
            raise DivergenceError(
                f"the training loss is not finite in epoch {self.trainer.current_epoch + 1}, replicates {diverged}: "
                "lower the learning rate (--model.init_args.optimizer.init_args.lr). "
                "Records, metrics and checkpoints of earlier epochs are kept"
            )
        self.train_loss.update(losses)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's mean training loss anew; not called when a run goes on within an epoch."""
        self.train_loss.reset()

    def on_train_epoch_end(self) -> None:
        """Log the mean training loss of the epoch and step the learning-rate schedule."""
        self.log_scalars(replicate_scalars("train/loss", self.train_loss.compute()))
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics["val/loss"])
        elif scheduler is not None:
            scheduler.step()

    def validation_step(self, inputs: Tensor, batch_idx: int, dataloader_idx: int = 0) -> Observation:
        """Both networks' activations for inputs `[R, B, d]`; the first dataloader also gives the validation losses."""
        observed = Observation(self.teacher.activations(inputs), self.student.activations(inputs))
        if dataloader_idx == 0:
            teacher_output, student_output = observed.teacher.output, observed.student.output
            samples = inputs.shape[1]
            self.val_loss.update(self.loss(student_output, teacher_output), samples)
            self.val_mse.update(mse(student_output, teacher_output), samples)
            gates = [gate(pre, self.student.negative_slope) for pre in observed.student.pre]
            weights = [weight for weight, _ in effective_layers(self.student)]
            error = backpropagated_error(weights, gates, teacher_output - student_output)
            self.gradient_sup_norm.update(error.abs().amax(dim=(1, 2)))
        return observed

    def on_validation_model_zero_grad(self) -> None:
        """Keep the last minibatch's ∂J/∂W_l, by layer, until it is recorded: Lightning frees it for the evaluation."""
        self.weight_gradients = {
            number: layer.weight.grad
            for number, layer in enumerate(self.student.layers, start=1)
            if layer.weight.grad is not None
        }
        super().on_validation_model_zero_grad()

    def on_validation_epoch_start(self) -> None:
        """Start the validation losses anew."""
        for metric in (self.val_loss, self.val_mse, self.gradient_sup_norm):
            metric.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss."""
        self.log_scalars(replicate_scalars("val/loss", self.val_loss.compute()))

    def log_scalars(self, scalars: dict[str, Tensor]) -> None:
        """Log an epoch's scalars against the epoch (0 is before training) and the optimizer step.

        Loggers get them directly: Lightning would count epochs from 0 and chunks for steps, and drop what its sanity
        check finds. Its own `log` serves the progress bar, and callbacks that monitor a scalar.
        """
        trainer = self.trainer
        fitting = trainer.state.fn == "fit"
        for name, value in scalars.items():
            in_bar = name in ("train/loss", "val/loss")
            self.log(name, value.to(self.device), on_epoch=True, prog_bar=in_bar, logger=not fitting, sync_dist=True)
        if fitting and (not trainer.sanity_checking or is_recorded(trainer)):
            numbers = {name: float(value) for name, value in scalars.items()}
            for logger in trainer.loggers:
                logger.log_metrics(numbers | {"epoch": evaluated_epoch(trainer)}, step=trainer.global_step)
