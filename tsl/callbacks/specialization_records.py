"""Measures the specialization of student nodes, and writes it as records and logged scalars."""

import inspect
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from tsl.callbacks.frames import CorrelationMeasure, tidy
from tsl.callbacks.layer_measures import Alignment, LayerMeasures, LayerSums, lemma_terms
from tsl.callbacks.overlap_records import Overlaps, check_overlaps, exact_losses, overlap_frames, why_no_exact_loss
from tsl.data.batch import Labelled
from tsl.errors import InputError
from tsl.modules import TeacherStudent
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.teacher_student import Observation, SummedObservation
from tsl.names import LAYER_SCALARS, NULL, THRESHOLDS, alignment_scalar, specialization_scalar
from tsl.networks import Network
from tsl.processes import gather_frames
from tsl.randomness import generator
from tsl.runs.records import COLUMNS, write_table


class SpecializationRecords(pl.Callback):
    """Writes the tables of `tsl.runs.records` before training (epoch 0) and after epochs of training.

    Every split that the DataModule evaluates is measured, on the activations of `TeacherStudent.validation_step`. New
    rows of an epoch replace older rows of this epoch. Losses are recorded at every evaluation, nodes and layers at the
    chosen epochs.

    Args:
        every_n_epochs: The number of epochs between measurements of nodes and layers; epochs 0 and trainer.max_epochs
            are always measured.
        epochs: The epochs at which nodes and layers are measured instead (0 is before training).
        thresholds: Further thresholds θ at which a teacher node counts as recovered, besides 0.5, 0.6, 0.7, 0.8, 0.9
            and 0.95.
        pairs: Also write the correlation of every pair of a teacher node and a student node.
        mean_matrices: Also write Lemma 1's E A_l and E B_l of every layer, on the validation data.
        alignments: Further measures by their names in the records, each with its null level. A measure is a metric of
            teacher and student activations that returns one number for each replicate (`tsl.metrics.LinearCKA`), or a
            function of one network's correlation ρ_jk [m, n] without pruned teacher nodes
            (`tsl.metrics.functional.redundancy`). If a function returns a value for each teacher node, the values are
            a column of teacher_nodes, and their mean is a column of layers.
        overlaps: Also write the overlaps Q, R and T of the lowest weights, and output weights, at every evaluation:
            true or "fields" for covariances of pre-activations, which theory uses; "dimension" for W Wᵀ/d; "none"
            for W Wᵀ.

    Raises:
        InputError: If an alignment has the name of another column.
    """

    def __init__(
        self,
        every_n_epochs: PositiveInt = 1,
        epochs: list[NonNegativeInt] | None = None,
        thresholds: list[OpenUnitInterval] | None = None,
        pairs: bool = False,
        mean_matrices: bool = False,
        alignments: dict[str, Alignment | CorrelationMeasure] | None = None,
        overlaps: Overlaps = False,
    ) -> None:
        self.every_n_epochs = every_n_epochs
        self.epochs = epochs
        self.thresholds = sorted({*THRESHOLDS, *(thresholds or [])})
        self.pairs = pairs
        self.mean_matrices = mean_matrices
        self.alignments = alignments or {}
        self.overlaps: Overlaps = overlaps
        for name in sorted(self.alignments.keys() & {*COLUMNS["teacher_nodes"], *COLUMNS["layers"], *LAYER_SCALARS}):
            raise InputError(
                f"records.alignments has a measure {name!r}, which is the name of another column: rename the measure"
            )
        self.of_correlation: dict[str, CorrelationMeasure] = {
            name: make for name, make in self.alignments.items() if inspect.isfunction(make)
        }
        self.metrics: Any = {name: make for name, make in self.alignments.items() if name not in self.of_correlation}
        self._measured = False
        self._measures: dict[str, list[Any]] = {}  # LayerMeasures, or LayerSums, of each split
        self._probes = generator("strength", 0)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Refuse networks and inputs that have no overlaps, if overlaps are to be recorded.

        Raises:
            InputError: If overlaps cannot be recorded.
        """
        if self.overlaps:
            check_overlaps(pl_module, pl_module.data, self.overlaps)
            if reason := why_no_exact_loss(pl_module, pl_module.data):
                rank_zero_only(print)(f"population_loss is not recorded: {reason}")

    def on_train_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Write the table `activity` of a conditioned teacher, unless the run is resumed from a checkpoint."""
        run = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        if not pl_module.teacher_activity or trainer.global_step > 0 or trainer.fast_dev_run:
            return
        frames = [
            tidy({"active_fraction": of_layer}, ("replicate", "node")).assign(layer=layer)
            for layer, of_layer in enumerate(pl_module.teacher_activity, start=1)
        ]
        frames = gather_frames(trainer, frames)
        if trainer.is_global_zero:
            write_table(run, "activity", 0, pd.concat(frames).assign(epoch=0))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Reset all measures, if nodes and layers are measured at this epoch."""
        self._measures = {}
        self._measured = self._is_measured(trainer)
        if not self._measured:
            return
        self._probes = generator("strength", 0)
        if self.metrics or self.mean_matrices:
            pl_module.activations_wanted = True
        else:
            pl_module.node_sums_wanted = True

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: TeacherStudent,
        outputs: Observation | SummedObservation,
        batch: Tensor | Labelled,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch of activations, or the sums that compiled code made of them."""
        if not self._measured:
            return
        split = trainer.val_dataloaders[dataloader_idx].split
        samples = outputs.teacher.output.shape[1]
        student, teacher = pl_module.student, pl_module.teacher
        teacher_strengths = teacher.squared_strengths(outputs.teacher, self._probes)
        if isinstance(outputs, SummedObservation):
            [strength] = teacher_strengths
            if split not in self._measures:
                self._measures[split] = [LayerSums(*teacher.active_nodes())]
            self._measures[split][0].update(outputs.sums, strength, samples)
            return
        if split not in self._measures:
            self._measures[split] = self._layer_measures(pl_module, split)
        layers = self._measures[split]
        student_strengths = student.squared_strengths(outputs.student, self._probes)
        for layer, measures in enumerate(layers):
            measures.update(outputs.teacher, outputs.student, layer)
            measures.teacher_strength.update(teacher_strengths[layer], samples)
            measures.student_strength.update(student_strengths[layer], samples)
        if self.mean_matrices and split == "val":
            for measures, terms in zip(layers, lemma_terms(student, teacher, outputs), strict=True):
                measures.update_mean_matrices(terms, samples)

    def _layer_measures(self, pl_module: TeacherStudent, split: str) -> list[LayerMeasures]:
        student, teacher = pl_module.student, pl_module.teacher
        matrices = self.mean_matrices and split == "val"
        layers = zip(teacher.active_nodes(), student.widths, student.map_sizes, strict=True)
        return [
            LayerMeasures(active, width, self.metrics, matrices, bool(size), products(student, bool(size))).to(
                pl_module.device
            )
            for active, width, size in layers
        ]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Write the tables of this epoch, and log those of the validation data."""
        if not is_recorded(trainer):
            return
        epoch = evaluated_epoch(trainer)
        losses = self._losses(pl_module, trained=epoch > 0)
        tables: dict[str, list[pd.DataFrame]] = {"losses": [losses]}
        if self.overlaps:
            of_overlaps = overlap_frames(pl_module, pl_module.data, self.overlaps, trainer.global_step)
            tables |= {name: [frame] for name, frame in of_overlaps.items()}
        if pl_module.weight_gradients:
            tables["gradients"] = [gradient_frame(pl_module.weight_gradients)]
            pl_module.weight_gradients = {}
        for split, layers in self._measures.items():
            for layer, measures in enumerate(layers, start=1):
                for table, frame in measures.frames(self.thresholds, self.of_correlation, self.pairs).items():
                    tables.setdefault(table, []).append(frame.assign(split=split, layer=layer))
        pl_module.log_scalars(self._scalars(tables.get("layers", [])))
        run = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        tables = {table: gather_frames(trainer, frames) for table, frames in tables.items()}
        if trainer.is_global_zero and not trainer.fast_dev_run:
            for table, frames in tables.items():
                write_table(run, table, epoch, pd.concat(frames, ignore_index=True).assign(epoch=epoch))

    @staticmethod
    def _losses(pl_module: TeacherStudent, trained: bool) -> pd.DataFrame:
        data = pl_module.data
        sizes = {"train_size": data.train_sizes, "augmented_size": data.augmented_sizes}
        # The type is the same in every epoch, because pandas gives all files of a folder the type of the first.
        none = torch.full((pl_module.replicates,), torch.nan, dtype=torch.float64)
        losses = {
            "train_loss": pl_module.train_loss.compute() if trained else none,
            "val_loss": pl_module.val_loss.compute(),
            "val_mse": pl_module.val_mse.compute(),
            "gradient_sup_norm": pl_module.gradient_sup_norm.compute(),
            **exact_losses(pl_module, data),
            **pl_module.accuracies(),
        }
        return tidy(losses, ("replicate",)).assign(**sizes)

    def _scalars(self, layers: list[pd.DataFrame]) -> dict[str, Tensor]:
        scalars: dict[str, Tensor] = {}
        alignments = [f"{name}{null}" for name in self.alignments for null in ("", NULL)]
        for frame in layers:
            if frame["split"][0] == "val":
                layer = frame["layer"][0]
                columns = {column: specialization_scalar(layer, name) for column, name in LAYER_SCALARS.items()}
                columns |= {column: alignment_scalar(layer, column) for column in alignments}
                scalars |= {scalar: torch.tensor(frame[column].to_numpy()) for column, scalar in columns.items()}
        return scalars

    def _is_measured(self, trainer: pl.Trainer) -> bool:
        if not is_recorded(trainer):
            return False
        epoch = evaluated_epoch(trainer)
        if self.epochs is not None:
            return epoch in self.epochs
        return epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs


def products(student: Network, maps: bool) -> torch.dtype:
    """The precision in which activations are multiplied for correlations: their own, but float32 for maps.

    For float32 activations, float64 products would add no precision and take twice as long.
    """
    double = next(student.parameters()).dtype == torch.float64
    return torch.float64 if double and not maps else torch.float32


def gradient_frame(gradients: dict[int, Tensor]) -> pd.DataFrame:
    """The rows of the table `gradients`, from ∂J/∂W_l `[R, out, in]` of the trained layers."""
    frames = []
    for layer, gradient in gradients.items():
        entries = gradient.flatten(1).double()
        columns = {"rms": entries.square().mean(dim=1).sqrt(), "max": entries.abs().amax(dim=1)}
        frames.append(tidy(columns, ("replicate",)).assign(layer=layer))
    return pd.concat(frames)
