"""Measures how far student nodes have specialized, and writes it as records and logged scalars."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor, nn
from torchmetrics import Metric

from tsl.callbacks.frames import layer_frames, tidy
from tsl.metrics import BoundaryObservation, NodeCorrelation
from tsl.metrics.functional import shuffled_samples
from tsl.metrics.replicates import ReplicateMean, replicate_scalars
from tsl.modules import TeacherStudent
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.teacher_student import Observation
from tsl.networks import MLP, Activations
from tsl.randomness import generator
from tsl.records import THRESHOLDS, write_table
from tsl.theory.gradient_rule import gate, mean_beta_diagonals

Alignment = Callable[[int, int, int], Metric]
"""Makes a metric of teacher and student activations from the numbers of teacher nodes, student nodes and replicates."""


class LayerMeasures(nn.Module):
    """Everything that is gathered about one hidden layer over one split of the evaluation data.

    `correlation` and `alignments` stand beside their null levels: the same measures of the teacher on shuffled inputs.
    """

    def __init__(
        self, teacher_nodes: int, student_nodes: int, replicates: int, alignments: dict[str, Alignment]
    ) -> None:
        super().__init__()
        shape = teacher_nodes, student_nodes, replicates
        # Of the teacher's nodes and, below them, of the same nodes on shuffled inputs: one pass over the wide student.
        self.correlation = NodeCorrelation(2 * teacher_nodes, student_nodes, replicates)
        self.observation = BoundaryObservation(*shape)
        self.teacher_strength = ReplicateMean(replicates, teacher_nodes)
        self.student_strength = ReplicateMean(replicates, student_nodes)
        # Any, because the hints of nn.ModuleDict forget that these modules are metrics.
        self.alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.null_alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.shuffling = generator("null_level", 0)

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Take in one batch of post-activations, `[R, B, m]` and `[R, B, n]`."""
        shuffled = shuffled_samples(teacher, self.shuffling)
        self.correlation.update(torch.cat([teacher, shuffled], dim=-1), student)
        for metric in (self.observation, *self.alignments.values()):
            metric.update(teacher, student)
        for metric in self.null_alignments.values():
            metric.update(shuffled, student)

    def arrays(self) -> dict[str, np.ndarray]:
        """Correlation, its null level and observation `[R, m, n]`, strengths of nodes `[R, m]` and `[R, n]`."""
        pairs = self.observation.replicates, self.observation.teacher_nodes, self.observation.student_nodes
        correlation = self.correlation.compute().unflatten(-2, (2, -1))
        values = {
            "correlation": (correlation[..., 0, :, :], pairs),
            "null_correlation": (correlation[..., 1, :, :], pairs),
            "observation": (self.observation.compute(), pairs),
            "teacher_strength": (self.teacher_strength.compute().sqrt(), pairs[:2]),
            "student_strength": (self.student_strength.compute().sqrt(), pairs[::2]),
        }
        # torchmetrics squeezes results of a single number
        return {name: value.numpy(force=True).reshape(shape) for name, (value, shape) in values.items()}

    def alignment_arrays(self) -> dict[str, np.ndarray]:
        """Every alignment asked for and its null level, each `[R]`."""
        named = {**self.alignments, **{f"{name}_null": metric for name, metric in self.null_alignments.items()}}
        return {name: np.atleast_1d(metric.compute().numpy(force=True)) for name, metric in named.items()}


class SpecializationRecords(pl.Callback):
    """Writes the tables of `tsl.records` before training (epoch 0) and after epochs of training.

    The measures are taken on what `TeacherStudent.validation_step` computes, so on every split that the DataModule
    gives for evaluation. Whatever is written of an epoch replaces what was written of it before. Losses are recorded at
    every evaluation, nodes and layers at the chosen epochs.

    Args:
        every_n_epochs: Measure nodes and layers every so many epochs; at epochs 0 and trainer.max_epochs always.
        epochs: Measure them at these epochs instead (0 is before training).
        thresholds: Further thresholds θ at which a teacher node counts as recovered, beside 0.5, 0.6, 0.7, 0.8, 0.9
            and 0.95.
        pairs: Also write the correlation of every pair of a teacher node and a student node.
        alignments: Further measures of whole layers by the name they get in the records, such as
            `{cka: tsl.metrics.LinearCKA}`: metrics that give one number for each replicate.
    """

    def __init__(
        self,
        every_n_epochs: PositiveInt = 1,
        epochs: list[NonNegativeInt] | None = None,
        thresholds: list[OpenUnitInterval] | None = None,
        pairs: bool = False,
        alignments: dict[str, Alignment] | None = None,
    ) -> None:
        self.every_n_epochs = every_n_epochs
        self.epochs = epochs
        self.thresholds = sorted({*THRESHOLDS, *(thresholds or [])})
        self.pairs = pairs
        self.alignments = alignments or {}
        self._measures: dict[str, list[LayerMeasures]] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Start all measures anew, if nodes and layers are measured at this epoch."""
        self._measures = {}
        if not self._is_measured(trainer):
            return
        widths = list(zip(pl_module.teacher.widths, pl_module.student.widths, strict=True))
        for loader in trainer.val_dataloaders:
            self._measures[loader.split] = [
                LayerMeasures(*nodes, pl_module.replicates, self.alignments).to(pl_module.device) for nodes in widths
            ]

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: TeacherStudent,
        outputs: Observation,
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take in one batch of activations."""
        if not self._measures:
            return
        layers = self._measures[trainer.val_dataloaders[dataloader_idx].split]
        samples = batch.shape[1]
        teacher_strengths = squared_strengths(pl_module.teacher, outputs.teacher)
        student_strengths = squared_strengths(pl_module.student, outputs.student)
        for layer, measures in enumerate(layers):
            measures.update(outputs.teacher.post[layer], outputs.student.post[layer])
            measures.teacher_strength.update(teacher_strengths[layer], samples)
            measures.student_strength.update(student_strengths[layer], samples)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Write the tables of this epoch, and log what the validation data shows."""
        if not is_recorded(trainer):
            return
        epoch = evaluated_epoch(trainer)
        losses = self._losses(pl_module, trained=epoch > 0).assign(**data_sizes(trainer.datamodule))
        tables: dict[str, list[pd.DataFrame]] = {"losses": [losses]}
        for split, layers in self._measures.items():
            for layer, measures in enumerate(layers, start=1):
                for table, frame in self._layer_frames(measures).items():
                    tables.setdefault(table, []).append(frame.assign(split=split, layer=layer))
        pl_module.log_scalars(self._scalars(tables.get("layers", [])))
        run = trainer.log_dir  # processes tell each other, so all have to ask
        if trainer.is_global_zero and not trainer.fast_dev_run:
            for table, frames in tables.items():
                write_table(run, table, epoch, pd.concat(frames, ignore_index=True).assign(epoch=epoch))

    def _layer_frames(self, measures: LayerMeasures) -> dict[str, pd.DataFrame]:
        arrays = measures.arrays()
        frames = layer_frames(**arrays, alignments=measures.alignment_arrays(), thresholds=self.thresholds)
        if self.pairs:
            correlation = {"correlation": arrays["correlation"]}
            frames["pairs"] = tidy(correlation, ("replicate", "teacher_node", "student_node"))
        return frames

    @staticmethod
    def _losses(pl_module: TeacherStudent, trained: bool) -> pd.DataFrame:
        losses = {
            "train_loss": pl_module.train_loss.compute() if trained else torch.full((pl_module.replicates,), torch.nan),
            "val_loss": pl_module.val_loss.compute(),
            "val_mse": pl_module.val_mse.compute(),
            "gradient_sup_norm": pl_module.gradient_sup_norm.compute(),
        }
        return tidy({name: np.atleast_1d(values.numpy(force=True)) for name, values in losses.items()}, ("replicate",))

    def _scalars(self, layers: list[pd.DataFrame]) -> dict[str, Tensor]:
        scalars: dict[str, Tensor] = {}
        names = {"rho_mean": "rho_mean", "rho_mean_null": "rho_mean_null", "recovered_fraction_0.95": "recovered_0.95"}
        columns = {column: f"specialization/layer{{}}/{name}" for column, name in names.items()}
        columns |= {
            f"{name}{null}": f"alignment/layer{{}}/{name}{null}" for name in self.alignments for null in ("", "_null")
        }
        for frame in layers:
            if frame["split"][0] == "val":
                for column, name in columns.items():
                    values = torch.tensor(frame[column].to_numpy())
                    scalars |= replicate_scalars(name.format(frame["layer"][0]), values)
        return scalars

    def _is_measured(self, trainer: pl.Trainer) -> bool:
        if not is_recorded(trainer):
            return False
        epoch = evaluated_epoch(trainer)
        if self.epochs is not None:
            return epoch in self.epochs
        return epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs


def data_sizes(data: Any) -> dict[str, list[int]]:
    """Training inputs of each replicate before and after augmentation, from a DataModule that tells them."""
    named = {"train_size": "train_sizes", "augmented_size": "augmented_sizes"}
    return {column: getattr(data, name) for column, name in named.items() if hasattr(data, name)}


def squared_strengths(network: MLP, activations: Activations) -> list[Tensor]:
    """E_x β_kk of every hidden layer over one batch, each `[R, nodes]`."""
    gates = [gate(pre, network.negative_slope) for pre in activations.pre]
    return mean_beta_diagonals([layer.weight for layer in network.layers], gates)
