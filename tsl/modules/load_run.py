"""Loads a run: its networks with their trained weights, and its data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from tsl.data import DataModule
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
    data: DataModule
    epoch: int

    def train_batches(self) -> Iterable[Tensor]:
        """The training inputs of the last epoch in batches `[R, B, ...]`, as they are evaluated with `evaluate_train`.

        Raises:
            InputError: If replicates differ in their number.
        """
        if len(set(self.data.train_sizes)) > 1:
            raise InputError(
                "the replicates have different numbers of training inputs (data.init_args.train_size), which cannot be "
                "evaluated together: run it again with one number"
            )
        self.data.evaluate_train = True
        self.data.sampler.set_epoch(self.epoch - 1)
        _, train = self.data.val_dataloader()
        return train


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
    if isinstance(module.teacher_initialization, TeacherOfRun):  # it is in the checkpoint, and that run may be gone
        module.teacher_initialization = GaussianInitialization()
    module.make_networks()
    dtype = next(values.dtype for name, values in weights.items() if name.startswith("student."))
    module.to(dtype=dtype)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit config.yaml: {' '.join(str(error).split())}") from error
    module.show_networks(data)
    data.prepare_data()
    data.draw("fit", dtype, torch.device("cpu"))
    return LoadedRun(module.eval(), data, epoch)


def _instantiate(run: Path, config: dict[str, Any]) -> tuple[TeacherStudent, DataModule]:
    """The objects that config.yaml names; what `tsl.fit` links to them is not written there."""
    linked = {"replicates": config.get("replicates", 1), "seed": config.get("seed_everything", 0)}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("model", type=TeacherStudent)
    parser.add_argument("data", type=DataModule)
    try:
        for group in ("model", "data"):
            config[group]["init_args"] = linked | config[group]["init_args"]
        objects = parser.instantiate_classes(parser.parse_object({group: config[group] for group in ("model", "data")}))
    except (ArgumentError, KeyError, TypeError) as error:
        words = f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{run / 'config.yaml'} does not give a model and data: {words}") from error
    return objects["model"], objects["data"]
