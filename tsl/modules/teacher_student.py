"""The LightningModule that trains students on the outputs of fixed teachers."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from jsonargparse import lazy_instance
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from tsl.data import DataModule, Labelled
from tsl.data.samples import Chunk, consecutive
from tsl.metrics.replicates import ReplicateMaximum, ReplicateMean
from tsl.modules.distillation import Distillation
from tsl.modules.label_noise import LabelNoise
from tsl.modules.losses import accuracy, half_squared_error, of_mse
from tsl.modules.steps import StepModule, check_shapes
from tsl.modules.student import (
    check_compared,
    check_inputs,
    checked_own,
    freeze_all_but,
    initialize_student,
    initialize_teacher,
)
from tsl.modules.teacher_answers import TeacherAnswers
from tsl.modules.why_eager import why_not_compiled
from tsl.names import ACCURACY_COLUMNS, VAL_LOSS
from tsl.networks import (
    Activations,
    FeedForward,
    Initialization,
    LikeTeacher,
    Network,
    TrainableNetwork,
    condition,
    normalize_weights_,
)
from tsl.processes import minibatch_share
from tsl.randomness import generator
from tsl.replicates import PerReplicate, per_replicate

if TYPE_CHECKING:
    from tsl.modules.compiled.fused_evaluation import FusedEvaluation, NodeSums

Loss = Callable[[Tensor, Tensor], Any]
"""From student and teacher outputs `[R, B, outputs]` to one loss for each replicate, `[R]`. The result is declared
as Any, because jsonargparse takes a class there for the base of those that may be named by class_path."""

sgd = partial(torch.optim.SGD, lr=0.01)
"""The paper's optimizer for two-layer networks."""

like_teacher = lazy_instance(LikeTeacher)
"""As many student nodes as teacher nodes; lazy, so that jsonargparse can show it and change single arguments."""

KEPT_ANSWERS = 1 << 29
"""Largest size in bytes of the teachers' outputs for a training set that are stored; else they are made by chunk."""

ANSWERED = 500
"""Inputs for which a teacher's outputs are computed at a time."""

TAKEN = 50
"""Minibatches that are made at a time if samples are augmented inputs, or the teachers' outputs are not stored."""

CACHED = 1 << 20
"""Activations of one layer, over all replicates, that fit in a processor's cache with those computed from them."""


ANSWERED_AT_ONCE = 1 << 24
"""Activations of a teachers' layer for one batch of a compiled evaluation, over all replicates."""


class Observation(NamedTuple):
    """The activations of both networks for one batch of evaluation inputs."""

    teacher: Activations
    student: Activations


class SummedObservation(NamedTuple):
    """The teacher's activations for one batch of evaluation inputs, and sums over them of both networks' nodes."""

    teacher: Activations
    sums: "NodeSums"


class TeacherStudent(StepModule):
    """Train R over-realized students, each on the outputs of its own fixed teacher.

    A training batch is a chunk of K minibatches `[K, R, B, d]`, for which K optimizer steps are taken; an evaluation
    batch is `[R, B, d]`. Losses are summed over replicates, so that gradients never mix. For images d is C × H × W; if
    the data has labels (`Labelled`), the accuracies of student and teacher and their agreement are recorded too.

    Args:
        teacher: Makes the teachers, given the number of replicates, such as `tsl.networks.MLP` with its other
            arguments.
        teacher_initialization: Initialization of the teachers' weights; null for teachers that already have weights,
            such as `tsl.networks.Pretrained`. `tsl.networks.LikeTeacher` then counts only teacher nodes that were not
            pruned.
        student_initialization: Initialization of the students' weights; null for `tsl.networks.ExternalStudent`, whose
            module initializes itself.
        student: The student's network: `tsl.networks.LikeTeacher` with a multiple of the teacher's nodes,
            `tsl.networks.WithWidths`, or a network such as `tsl.networks.ConvNet` or `tsl.networks.ExternalStudent`,
            made as `teacher` is. `--model.multiplier 2` is short for the first with `multiplier: 2`.
        loss: Objective, a function of student and teacher outputs `[R, B, outputs]` with one loss for each replicate,
            `[R]`: a function by its import path, or a class with such a `__call__` by class_path; or
            `tsl.modules.Distillation`, which adds labels and hidden layers.
        optimizer: Makes the optimizer of the students' trained parameters. It has to work elementwise (SGD, Adam, …),
            or replicates would influence each other.
        lr_scheduler: Makes a learning-rate schedule, stepped once an epoch.
        trained_layers: Layers of the student that are trained, counted from 1 at the input to L + 1 at the output;
            all if None. The others keep their initial weights.
        condition_teacher: Before training, shift and scale the teacher to suit the training inputs: every hidden node
            active on half of them, every output of mean 0 and variance 1 (`tsl.networks.condition`); "hidden" leaves
            the outputs as they are.
        normalize_weights: Scale the student's nodes to unit norm after every optimizer step
            (`tsl.networks.normalize_weights_`).
        noise: Standard deviation of the noise that is added to every output of the teacher in training, newly drawn in
            every step, or a list of them that repeats along the replicates. Evaluation uses the teacher without noise.
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
        steps: How optimizer steps are taken: one by one with autograd ("eager"), many in one compiled call ("fused": on
            the CPU, MLPs without BatchNorm and dropout, SGD and the objectives of `tsl.modules`), or fused whenever
            this is possible ("auto"). Both compute the same, up to rounding.
        on_divergence: What happens when the loss or a weight of a replicate is no longer finite: the run stops
            ("stop"), or that replicate stays as it was after its last finite step and the others train on ("freeze").
            Its training loss is NaN from then on, it is marked as diverged in the table `replicates`, and logged means
            leave it out.
        compile_student: Compile the student's passes in training with `torch.compile`, for eager steps.
    """

    def __init__(
        self,
        teacher: Callable[[int], Network],
        teacher_initialization: Initialization | None,
        student_initialization: Initialization | None,
        student: LikeTeacher | Callable[[int], TrainableNetwork] = like_teacher,
        loss: Loss | Distillation = half_squared_error,
        optimizer: OptimizerCallable = sgd,
        lr_scheduler: LRSchedulerCallable | None = None,
        trained_layers: list[PositiveInt] | None = None,
        condition_teacher: bool | Literal["hidden"] = False,
        normalize_weights: bool = False,
        noise: PerReplicate[NonNegativeFloat] = 0.0,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt | list[NonNegativeInt] = 0,
        steps: Literal["auto", "eager", "fused"] = "auto",
        on_divergence: Literal["stop", "freeze"] = "stop",
        compile_student: bool = False,
    ) -> None:
        super().__init__(optimizer, lr_scheduler, replicates, seed, steps, on_divergence)
        self.make_teacher = teacher
        self.teacher_initialization = teacher_initialization
        self.student_initialization = student_initialization
        self.make_student = student
        self.loss = loss
        self.trained_layers = trained_layers
        self.condition_teacher = condition_teacher
        self.normalize_weights = normalize_weights
        self.compile_student = compile_student
        self.noise = noise
        stds = per_replicate(noise, replicates, "model.init_args.noise")
        self.label_noise = LabelNoise(stds, seed) if any(stds) else None
        self.activations_wanted = False
        self.node_sums_wanted = False
        self._fused_evaluation: FusedEvaluation | None = None
        self._orders: list[torch.Generator] = []
        self._teacher_answers = TeacherAnswers()
        self.teacher_activity: list[Tensor] = []
        self._answered: tuple[Tensor, Tensor] | None = None
        self.weight_gradients: dict[int, Tensor] = {}
        self.val_mse = ReplicateMean(replicates)
        self.gradient_sup_norm = ReplicateMaximum(replicates)
        self.accuracy = ReplicateMean(replicates)
        self.teacher_accuracy = ReplicateMean(replicates)
        self.teacher_agreement = ReplicateMean(replicates)

    def make_networks(self, data: DataModule | None = None) -> None:
        """Make and initialize both networks; see the base class.

        Raises:
            InputError: If a setting does not fit the networks.
        """
        self.teacher = self.make_teacher(self.replicates)
        self.teacher.eval().requires_grad_(False)
        initialize_teacher(self.teacher, self.teacher_initialization, self.seed)
        self.student = self._made_student()
        check_compared(self.teacher, self.student)
        if self.condition_teacher and data is not None:
            check_inputs(data, self.teacher, self.student)
            self.teacher_activity = condition(
                self.teacher, data.conditioning_inputs(), output_layer=self.condition_teacher != "hidden"
            )
        initialize_student(self.student, self.student_initialization, self.teacher, self.seed)
        if isinstance(self.loss, Distillation):
            self.loss.make(self.teacher, self.student, data and data.labelled, self.seed)
        if self.compile_student:
            self.student.compile()
        if self.trained_layers is not None:
            freeze_all_but(self.student, self.trained_layers)
        self.is_made = True

    def show_networks(self, data: DataModule) -> None:
        """Give the data the teachers, which its augmentation may need, and a suitable evaluation batch size."""
        data.teacher = self.teacher
        data.suited_batch_size = self.eval_batch_size

    @property
    def eval_batch_size(self) -> int:
        """The number of inputs in a batch for the fastest evaluation: 100 to 500, or up to 10,000 in compiled code.

        With this number the widest layer stays in cache. More inputs would cause page faults and memory accesses, fewer
        would add overhead for each batch.
        """
        if self._trainer is not None and self._compiles_evaluations:  # which splits batches itself
            widest = max(self.teacher.output_dim, *self.teacher.widths)
            return min(max(ANSWERED_AT_ONCE // (self.replicates * widest), 100), 10_000)
        layers = zip(self.student.widths, self.student.map_sizes, strict=True)
        widest = max(self.student.output_dim, *(nodes * math.prod(size) for nodes, size in layers))
        return min(max(CACHED // (self.replicates * widest), 100), 500)

    def _made_student(self) -> TrainableNetwork:
        """The student's network, uninitialized."""
        if isinstance(self.make_student, LikeTeacher):
            return self.make_student.make(self.teacher, active_only=self.teacher_initialization is None)
        return self.make_student(self.replicates)

    @property
    def trained_network(self) -> TrainableNetwork:
        """The students."""
        return self.student

    def trained_parameters(self) -> list[nn.Parameter]:
        """The students' trained parameters, and those of the loss."""
        of_loss = [*self.loss.layers.parameters()] if isinstance(self.loss, Distillation) else []
        return [*super().trained_parameters(), *of_loss]

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of the students' outputs with respect to the teachers'."""
        loss: Any = self.loss
        return loss(outputs, targets)

    def minibatch_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The objective; targets are labels if the loss is a `Distillation`, and otherwise the teachers' outputs."""
        if isinstance(self.loss, Distillation):
            return self.loss.training_loss(self.student, self.teacher, inputs, targets)
        return super().minibatch_loss(inputs, targets)

    def after_step(self) -> None:
        """Scale the students' nodes to unit norm, if `normalize_weights` is set."""
        if self.normalize_weights:
            normalize_weights_(checked_own(self.student, "normalize_weights"))

    def on_fit_start(self) -> None:
        """Check that the data suits the networks.

        Raises:
            InputError: If inputs have another dimension, or minibatches have too few samples for BatchNorm.
        """
        self._teacher_answers.forget()
        check_inputs(self.data, self.teacher, self.student)
        self.check_batch_norm("model.init_args.student.init_args.batch_norm to none (or take a student without it)")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a checkpoint fits the networks; see the base class.

        Raises:
            InputError: If it does not; the message lists every tensor of another shape.
        """
        super().on_load_checkpoint(checkpoint)
        settings = "model.init_args.student, model.init_args.teacher and replicates"
        check_shapes(checkpoint["state_dict"], self.state_dict(), settings)

    def training_step(self, batch: Chunk | Tensor | Labelled, batch_idx: int) -> None:
        """Take one optimizer step for each of the K minibatches of a chunk."""
        chunk = Chunk.of(batch)
        samples, index = chunk.samples, chunk.index
        if isinstance(self.loss, Distillation):
            for part in index.split(TAKEN, dim=1):
                taken = samples.batch(part)  # [R, K, B, ...]
                inputs, labels = taken if isinstance(taken, Labelled) else (taken, torch.zeros_like(part))
                self.take_steps(inputs.flatten(1, 2), labels.flatten(1, 2), consecutive(inputs))
            return
        inputs, replicates = samples.inputs, len(index)
        answers = replicates * len(samples) * self.teacher.output_dim * inputs.element_size()
        if samples.augment is None and answers <= KEPT_ANSWERS and self.label_noise is None:
            if self._answered is None or self._answered[0] is not inputs:
                self._answered = inputs, self._answers(inputs, ANSWERED)
            self.take_steps(*self._answered, index)
            return
        for part in index.split(TAKEN, dim=1):
            taken = samples.take(part)  # [R, K, B, ...]
            inputs = taken.flatten(1, 2)
            targets = self._answers(inputs, ANSWERED if inputs.ndim == 3 else taken.shape[2])
            if self.label_noise is not None:
                by_step = targets.unflatten(1, taken.shape[1:3]).transpose(0, 1)  # [K, R, B, outputs]
                by_step = self.label_noise(by_step, self.trainer.global_step, *minibatch_share(self.trainer))
                targets = by_step.transpose(0, 1).flatten(1, 2)
            self.take_steps(inputs, targets, consecutive(taken))

    def _answers(self, inputs: Tensor, size: int) -> Tensor:
        """The teacher's outputs `[R, N, outputs]` for inputs `[R, N, ...]`, computed in blocks."""
        answers = inputs.new_empty(*inputs.shape[:2], self.teacher.output_dim)
        for part, answer in zip(inputs.split(size, dim=1), answers.split(size, dim=1), strict=True):
            answer.copy_(self.teacher(part))
        return answers

    def validation_step(
        self, batch: Tensor | Labelled, batch_idx: int, dataloader_idx: int = 0
    ) -> Observation | SummedObservation | None:
        """Add the validation losses of inputs `[R, B, ...]`, from the first dataloader.

        The teacher's outputs for inputs that stay the same are stored between evaluations (see `TeacherAnswers`).
        gradient_sup_norm is the maximum over the inputs for which `FeedForward.lowest_error` returns the error: for
        convolutional networks, a part of them.

        Returns:
            Both networks' activations, if a callback has set `activations_wanted` in its `on_validation_start`; do not
            change them. If callbacks have set only `node_sums_wanted`, sums replace the student's activations, if
            compiled code can compute them. Otherwise None.
        """
        inputs = batch.inputs if isinstance(batch, Labelled) else batch
        nodes_wanted = self.activations_wanted or self.node_sums_wanted
        if not nodes_wanted and dataloader_idx > 0:
            return None
        teacher = self._teacher_answers.answer(self.teacher, inputs, dataloader_idx, batch_idx, hidden=nodes_wanted)
        fused = None if isinstance(batch, Labelled) or self.activations_wanted else self._fused_evaluation
        if fused is not None and (not nodes_wanted or self._sums_nodes(teacher)):
            generator_of_split = self._orders[dataloader_idx]
            order = torch.randperm(inputs.shape[1], generator=generator_of_split) if nodes_wanted else None
            losses, sums = fused(inputs, teacher, order)
            if dataloader_idx == 0:
                self._add_losses(losses, inputs.shape[1])
            return None if sums is None else SummedObservation(teacher, sums)
        if not nodes_wanted:
            self._update_losses(batch, teacher.output, *self.student.errors(inputs, teacher.output))
            return None
        student = self.student.activations(inputs)
        if dataloader_idx == 0:
            error = teacher.output - student.output
            lowest_error = self.student.lowest_error(student, error)
            self._update_losses(batch, teacher.output, student.output, error, lowest_error)
        return Observation(teacher, student)

    def _sums_nodes(self, teacher: Activations) -> bool:
        """Whether compiled code can sum the nodes' activations: of one hidden layer, in one process."""
        fused, (_, processes) = self._fused_evaluation, minibatch_share(self.trainer)
        return fused is not None and fused.sums_nodes and len(teacher.post) == 1 and processes == 1

    def _update_losses(
        self, batch: Tensor | Labelled, teacher: Tensor, student: Tensor, error: Tensor, lowest_error: Tensor
    ) -> None:
        """Add the losses of a batch, from its outputs, their difference and g_1, which may be overwritten."""
        samples = student.shape[1]
        labels = batch.labels if isinstance(batch, Labelled) else None
        mean_square = torch.linalg.vector_norm(error, dim=(1, 2)).square() / error[0].numel()
        factor = of_mse(self.loss, student.shape[2])
        if isinstance(self.loss, Distillation):
            loss = self.loss.weighted(self.loss.output_terms(student, teacher, labels))
        else:
            loss = self.objective(student, teacher) if factor is None else mean_square * factor
        self._add_losses((loss, mean_square, lowest_error.abs_().flatten(1).amax(dim=1)), samples)
        if labels is not None:
            self.accuracy.update(accuracy(student, labels), samples)
            self.teacher_accuracy.update(accuracy(teacher, labels), samples)
            self.teacher_agreement.update(accuracy(student, teacher.argmax(dim=-1)), samples)

    def _add_losses(self, of_batch: tuple[Tensor, Tensor, Tensor], samples: int) -> None:
        """Add the objective, mean squared error and greatest |g_1| of a batch, `[R]` each."""
        loss, mean_square, gradient_sup_norm = of_batch
        self.val_loss.update(loss, samples)
        self.val_mse.update(mean_square, samples)
        self.gradient_sup_norm.update(gradient_sup_norm)

    def accuracies(self) -> dict[str, Tensor]:
        """Mean accuracies over the validation data of this evaluation, `[R]` each; empty if there are no labels."""
        if not self.accuracy.update_called:
            return {}
        return {name: getattr(self, name).compute() for name in ACCURACY_COLUMNS}

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's means; see the base class."""
        super().on_train_epoch_start()
        if isinstance(self.loss, Distillation):
            self.loss.reset_means()

    def on_train_epoch_end(self) -> None:
        """Also log the mean of every term of the loss; see the base class."""
        super().on_train_epoch_end()
        if isinstance(self.loss, Distillation):
            self.log_scalars(self.loss.mean_terms())

    def on_validation_model_zero_grad(self) -> None:
        """Keep the last minibatch's ∂J/∂W_l, by layer, until it is recorded: Lightning frees it for the evaluation."""
        layers = self.student.layers if isinstance(self.student, FeedForward) else []
        self.weight_gradients = {
            number: layer.weight.grad for number, layer in enumerate(layers, start=1) if layer.weight.grad is not None
        }
        super().on_validation_model_zero_grad()

    def on_validation_epoch_start(self) -> None:
        """Reset the validation losses."""
        if self.trainer.state.fn == "fit":
            self._teacher_answers.start(self.teacher, self.trainer.val_dataloaders)
        of_labels = self.accuracy, self.teacher_accuracy, self.teacher_agreement
        for metric in (self.val_loss, self.val_mse, self.gradient_sup_norm, *of_labels):
            metric.reset()
        self._orders = [generator("null_level", 0) for _ in self.trainer.val_dataloaders or [None]]
        self._fused_evaluation = self._fuse_evaluation()

    @property
    def _compiles_evaluations(self) -> bool:
        return self.steps != "eager" and why_not_compiled(self) is None

    def _fuse_evaluation(self) -> "FusedEvaluation | None":
        """Compiled code that evaluates the students with their current weights, if it computes the same; else None."""
        if not self._compiles_evaluations:
            return None
        from tsl.modules.compiled.fused_evaluation import FusedEvaluation  # imports numba

        network: Any = self.student  # an MLP, since it is compiled
        return FusedEvaluation(network, self.loss)

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss, and accuracies if the data has labels."""
        accuracies = {f"val/{name}": values for name, values in self.accuracies().items()}
        self.log_scalars({VAL_LOSS: self.val_loss.compute(), **accuracies})

    def on_validation_end(self) -> None:
        """Compute no activations at the next evaluation, unless a callback requests them again."""
        self.activations_wanted = self.node_sums_wanted = False
        self._fused_evaluation = None

    def on_fit_end(self) -> None:
        """Free the teacher's kept outputs."""
        self._answered = None
        self._teacher_answers.forget()
