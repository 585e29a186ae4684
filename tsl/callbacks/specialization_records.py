"""Measures how far student nodes have specialized, and writes it as records and logged scalars."""

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor, nn

from tsl.callbacks.frames import layer_frames, tidy
from tsl.metrics import BoundaryObservation, NodeCorrelation
from tsl.metrics.replicates import ReplicateMean, replicate_scalars
from tsl.modules import TeacherStudent
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.teacher_student import Observation
from tsl.networks import MLP, Activations
from tsl.records import THRESHOLDS, write_table
from tsl.theory.gradient_rule import gate, mean_beta_diagonals


class LayerMeasures(nn.Module):
    """Everything that is gathered about one hidden layer over one split of the evaluation data."""

    def __init__(self, replicates: int, teacher_nodes: int, student_nodes: int) -> None:
        super().__init__()
        self.correlation = NodeCorrelation(teacher_nodes, student_nodes, replicates)
        self.observation = BoundaryObservation(teacher_nodes, student_nodes, replicates)
        self.teacher_strength = ReplicateMean(replicates, teacher_nodes)
        self.student_strength = ReplicateMean(replicates, student_nodes)
        self.shape = replicates, teacher_nodes, student_nodes

    def results(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Correlation and observation `[R, m, n]`, strength of teacher nodes `[R, m]` and of student nodes `[R, n]`."""
        replicates, teacher_nodes, student_nodes = self.shape
        values = (
            (self.correlation.compute(), self.shape),
            (self.observation.compute(), self.shape),
            (self.teacher_strength.compute().sqrt(), (replicates, teacher_nodes)),
            (self.student_strength.compute().sqrt(), (replicates, student_nodes)),
        )
        # torchmetrics squeezes results of a single number
        return tuple(value.numpy(force=True).reshape(shape) for value, shape in values)


class SpecializationRecords(pl.Callback):
    """Writes the tables of `tsl.records` before training (epoch 0) and after epochs of training.

    The measures are taken on what `TeacherStudent.validation_step` computes, so on every split that the DataModule
    gives for evaluation. Whatever is written of an epoch replaces what was written of it before. Losses are recorded at
    every evaluation, nodes and layers at the chosen epochs.

    Args:
        every_n_epochs: Measure nodes and layers every so many epochs; at epoch 0 and the last one always.
        epochs: Measure them at these epochs instead (0 is before training).
        thresholds: Further thresholds θ at which a teacher node counts as recovered, beside 0.5, 0.6, 0.7, 0.8, 0.9
            and 0.95.
        pairs: Also write the correlation of every pair of a teacher node and a student node.
    """

    def __init__(
        self,
        every_n_epochs: PositiveInt = 1,
        epochs: list[NonNegativeInt] | None = None,
        thresholds: list[OpenUnitInterval] | None = None,
        pairs: bool = False,
    ) -> None:
        self.every_n_epochs = every_n_epochs
        self.epochs = epochs
        self.thresholds = sorted({*THRESHOLDS, *(thresholds or [])})
        self.pairs = pairs
        self._measures: dict[str, list[LayerMeasures]] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Start all measures anew, if nodes and layers are measured at this epoch."""
        self._measures = {}
        if not self._is_measured(trainer):
            return
        widths = list(zip(pl_module.teacher.widths, pl_module.student.widths, strict=True))
        for loader in trainer.val_dataloaders:
            layers = [LayerMeasures(pl_module.replicates, m, n).to(pl_module.device) for m, n in widths]
            self._measures[loader.split] = layers

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
            teacher, student = outputs.teacher.post[layer], outputs.student.post[layer]
            measures.correlation.update(teacher, student)
            measures.observation.update(teacher, student)
            measures.teacher_strength.update(teacher_strengths[layer], samples)
            measures.student_strength.update(student_strengths[layer], samples)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Write the tables of this epoch, and log what the validation data shows."""
        if not is_recorded(trainer):
            return
        epoch = evaluated_epoch(trainer)
        tables: dict[str, list[pd.DataFrame]] = {"losses": [self._losses(pl_module, trained=epoch > 0)]}
        for split, layers in self._measures.items():
            for layer, measures in enumerate(layers, start=1):
                for table, frame in self._layer_frames(measures).items():
                    tables.setdefault(table, []).append(frame.assign(split=split, layer=layer))
        pl_module.log_scalars(self._scalars(tables.get("layers", [])))
        if trainer.is_global_zero and not trainer.fast_dev_run:
            for table, frames in tables.items():
                write_table(trainer.log_dir, table, epoch, pd.concat(frames, ignore_index=True).assign(epoch=epoch))

    def _layer_frames(self, measures: LayerMeasures) -> dict[str, pd.DataFrame]:
        correlation, *others = measures.results()
        frames = layer_frames(correlation, *others, thresholds=self.thresholds)
        if self.pairs:
            frames["pairs"] = tidy({"correlation": correlation}, ("replicate", "teacher_node", "student_node"))
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

    @staticmethod
    def _scalars(layers: list[pd.DataFrame]) -> dict[str, Tensor]:
        scalars: dict[str, Tensor] = {}
        for frame in layers:
            if frame["split"][0] == "val":
                for column, name in (("rho_mean", "rho_mean"), ("recovered_fraction_0.95", "recovered_0.95")):
                    values = torch.tensor(frame[column].to_numpy())
                    scalars |= replicate_scalars(f"specialization/layer{frame['layer'][0]}/{name}", values)
        return scalars

    def _is_measured(self, trainer: pl.Trainer) -> bool:
        if not is_recorded(trainer):
            return False
        epoch = evaluated_epoch(trainer)
        if self.epochs is not None:
            return epoch in self.epochs
        return epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs


def squared_strengths(network: MLP, activations: Activations) -> list[Tensor]:
    """E_x β_kk of every hidden layer over one batch, each `[R, nodes]`."""
    gates = [gate(pre, network.negative_slope) for pre in activations.pre]
    return mean_beta_diagonals([layer.weight for layer in network.layers], gates)
