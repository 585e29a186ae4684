"""Compares the students with the theorem while they train, and writes the table `certificate`."""

import pandas as pd
import pytorch_lightning as pl
from jsonargparse.typing import PositiveFloat
from torch import Tensor, nn

from tsl.callbacks.frames import tidy
from tsl.data.batch import Labelled
from tsl.errors import InputError
from tsl.metrics import BoundaryObservation
from tsl.metrics.replicates import ReplicateMaximum
from tsl.modules import TeacherStudent
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.teacher_student import Observation
from tsl.networks import MLP, Network, TrainableNetwork, effective_layers
from tsl.networks.mlp import as_mlp
from tsl.processes import gather_frames
from tsl.runs.records import write_table
from tsl.theory.certificate import Certificate, TwoLayerWeights, certificate


class CertificateMeasures(nn.Module):
    """The quantities that the certificate needs from the training inputs, gathered batch by batch.

    Args:
        module: The students and their teachers.

    Raises:
        InputError: If a network has more than one hidden layer, or another activation than (leaky) ReLU.
    """

    def __init__(self, module: TeacherStudent) -> None:
        super().__init__()
        check_two_layers(module)
        (m,), (n,) = module.teacher.widths, module.student.widths
        self.observation = BoundaryObservation(m, n, module.replicates)
        self.gradient_sup_norm = ReplicateMaximum(module.replicates)

    def update(self, student: TrainableNetwork, observed: Observation) -> None:
        """Add the activations of both networks for a batch."""
        self.observation.update(observed.teacher.pre[0], observed.student.pre[0])
        g = student.lowest_error(observed.student, observed.teacher.output - observed.student.output)
        self.gradient_sup_norm.update(g.abs().amax(dim=(1, 2)))

    def certificate(self, module: TeacherStudent, c: float, bias_scale: float) -> Certificate:
        """The certificate over all batches so far; see `tsl.theory.certificate`."""
        teacher, student = (two_layer_weights(checked_mlp(network)) for network in (module.teacher, module.student))
        return certificate(
            teacher, student, self.observation.compute(), self.gradient_sup_norm.compute(), c=c, bias_scale=bias_scale
        )


class CertificateRecords(pl.Callback):
    """Writes the table `certificate` of two-layer students before training (epoch 0) and at every evaluation.

    The certificate is about the training inputs, so it needs `data.init_args.evaluate_train`.

    Args:
        c: The constant c of the theorem's gradient condition ‖g_1‖∞ ≤ α_kj ε / (c K^{3/2} √d).
        bias_scale: The factor M of ε-alignment, the bias gap allowed for each unit of sine.
    """

    def __init__(self, c: PositiveFloat = 5.0, bias_scale: PositiveFloat = 1.0) -> None:
        self.c = c
        self.bias_scale = bias_scale
        self._measures: CertificateMeasures | None = None

    def setup(self, trainer: pl.Trainer, pl_module: TeacherStudent, stage: str) -> None:
        """Refuse data that does not evaluate its training inputs.

        Raises:
            InputError: If data.init_args.evaluate_train is false.
        """
        if stage == "fit" and not pl_module.data.evaluate_train:
            raise InputError(
                "tsl.callbacks.CertificateRecords needs evaluations of the training inputs: "
                "set data.init_args.evaluate_train to true"
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Refuse networks that the theorem does not cover.

        Raises:
            InputError: If a network has more than one hidden layer, or another activation than (leaky) ReLU.
        """
        check_two_layers(pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Reset all measures."""
        self._measures = CertificateMeasures(pl_module).to(pl_module.device) if is_recorded(trainer) else None
        pl_module.activations_wanted |= self._measures is not None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: TeacherStudent,
        outputs: Observation,
        batch: Tensor | Labelled,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch of training inputs."""
        if self._measures is not None and trainer.val_dataloaders[dataloader_idx].split == "train":
            self._measures.update(pl_module.student, outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: TeacherStudent) -> None:
        """Write the table of this epoch."""
        if self._measures is None:
            return
        epoch = evaluated_epoch(trainer)
        [frame] = gather_frames(
            trainer, [certificate_frame(self._measures.certificate(pl_module, self.c, self.bias_scale), epoch)]
        )
        run = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        if trainer.is_global_zero and not trainer.fast_dev_run:
            write_table(run, "certificate", epoch, frame)


def certificate_frame(result: Certificate, epoch: int) -> pd.DataFrame:
    """The rows of the table `certificate`; nodes count from 1, and an `observer` of 0 means that there is none."""
    columns = result._asdict()
    columns["observer"] = columns["observer"] + 1
    columns["best_aligned_student"] = columns["best_aligned_student"] + 1
    return tidy(columns, ("replicate", "node")).assign(epoch=epoch)


def two_layer_weights(network: MLP) -> TwoLayerWeights:
    """The weights of a two-layer network for the certificate, with BatchNorm folded in; a missing bias is 0."""
    (weight, bias), (fan_out, _) = effective_layers(network)
    return TwoLayerWeights(weight, bias, fan_out)


def check_two_layers(module: TeacherStudent) -> None:
    """Refuse deeper networks, and other activations.

    Raises:
        InputError: If a network is not an MLP of (leaky) ReLU, or has more than one hidden layer.
    """
    for name, network in (("teacher", module.teacher), ("student", module.student)):
        activation = checked_mlp(network).activation
        if activation.name != "relu":
            raise InputError(
                f"the certificate needs (leaky) ReLU, because the theorem does, but the {name} has the activation "
                f"{activation.name} (model.init_args.{name}.init_args.activation); leave "
                "tsl.callbacks.CertificateRecords out of trainer.callbacks"
            )
        if len(network.widths) != 1:
            raise InputError(
                f"the certificate follows from the two-layer theorem: expected one hidden layer, but the {name} has "
                f"widths {network.widths}; set model.init_args.teacher.init_args.widths"
            )


def checked_mlp(network: Network) -> MLP:
    """The network as an MLP; only MLPs have a certificate.

    Raises:
        InputError: If it is not an MLP.
    """
    return as_mlp(network, "the certificate", "leave tsl.callbacks.CertificateRecords out of trainer.callbacks")
