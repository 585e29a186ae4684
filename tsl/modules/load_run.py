"""A run that `tsl.fit` wrote, as live objects again: its networks with their trained weights, and its data."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from tsl.errors import InputError
from tsl.modules import TeacherStudent
from tsl.modules.teacher_of_run import TeacherOfRun
from tsl.networks import GaussianInitialization
from tsl.runs.records import read_config
from tsl.tensor_files import read_tensors


class LoadedRun(NamedTuple):
    """A run as live objects, on the CPU.

    Attributes:
        module: The networks, with the weights of the run's last checkpoint and in their precision.
        data: The inputs, drawn as in training.
        epoch: Epochs trained.
    """

    module: TeacherStudent
    data: pl.LightningDataModule
    epoch: int

    def train_batches(self) -> Iterable[Tensor]:
        """The training inputs of the last epoch in batches `[R, B, ...]`, as they are evaluated with `evaluate_train`.

        Raises:
            InputError: If the DataModule does not evaluate its training inputs, or replicates differ in their number.
        """
        data: Any = self.data
        if len(set(getattr(data, "train_sizes", [0]))) > 1:
            raise InputError(
                "its replicates have different numbers of training inputs (data.init_args.train_size), which cannot be "
                "evaluated together: run it again with one number"
            )
        data.evaluate_train = True
        if getattr(data, "fresh_inputs", False):
            data.train_samples(self.epoch - 1)
        for loader in data.val_dataloader():
            if loader.split == "train":
                return loader
        raise InputError(f"{type(data).__name__} gives no training inputs for evaluation")


def load_run(run: Path | str) -> LoadedRun:
    """Make a run's module and data again from its config.yaml, with the weights of checkpoints/last.ckpt.

    Args:
        run: The run's directory.

    Raises:
        InputError: If it is no run, has no checkpoint, or holds what this version of tsl cannot make.
        DamagedRecordsError: If config.yaml cannot be read.
    """
    config = read_config(run)
    path = Path(run) / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise InputError(f"{run} has no checkpoints/last.ckpt: its weights were not kept; run it again")
    checkpoint = read_tensors(path, keys=["state_dict", "epoch"])
    weights, epoch = checkpoint["state_dict"], checkpoint["epoch"] + 1
    module, data = _instantiate(Path(run), config)
    module.condition_teacher = False  # the checkpoint's teacher is conditioned
    if isinstance(module.teacher_initialization, TeacherOfRun):  # it is in the checkpoint, and that run may be gone
        module.teacher_initialization = GaussianInitialization()
    module.configure_model()
    module.to(dtype=next(values.dtype for name, values in weights.items() if name.startswith("student.")))
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit config.yaml: {' '.join(str(error).split())}") from error
    data.trainer = _trainer(config.get("trainer", {}).get("precision"))
    data.trainer.strategy.connect(module)  # through which augmentation finds the teacher
    data.setup("fit")
    return LoadedRun(module.eval(), data, epoch)


def _instantiate(run: Path, config: dict[str, Any]) -> tuple[TeacherStudent, pl.LightningDataModule]:
    """The objects that config.yaml names; what `tsl.fit` links to them is not written there."""
    linked = {"replicates": config.get("replicates", 1), "seed": config.get("seed_everything", 0)}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("model", type=TeacherStudent)
    parser.add_argument("data", type=pl.LightningDataModule)
    try:
        for group in ("model", "data"):
            config[group]["init_args"] |= linked
        objects = parser.instantiate_classes(parser.parse_object({group: config[group] for group in ("model", "data")}))
    except (ArgumentError, KeyError, TypeError) as error:
        words = f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{run / 'config.yaml'} cannot be made into a model and data: {words}") from error
    return objects["model"], objects["data"]


def _trainer(precision: Any) -> pl.Trainer:
    """A quiet Trainer on the CPU, of which DataModules take precision and device."""
    log = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            accelerator="cpu",
            devices=1,
            precision=precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    finally:
        log.setLevel(level)
