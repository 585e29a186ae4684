"""Loads a run: its networks with their trained weights, and its data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from tsl.data import DataModule
from tsl.errors import InputError
from tsl.grid import lay_out
from tsl.modules import TeacherStudent
from tsl.modules.teacher_of_run import TeacherOfRun
from tsl.networks import GaussianInitialization
from tsl.runs.records import read_config
from tsl.tensor_files import read_tensors


class LoadedRun(NamedTuple):
    """The module and the data of a run, on the CPU.

    Attributes:
        module: The module with its networks, with the weights of a checkpoint and in their precision.
        data: The inputs, drawn as in training.
        epoch: Epochs trained.
    """

    module: TeacherStudent
    data: DataModule
    epoch: int

    def train_batches(self) -> Iterable[Tensor]:
        """The training inputs of the last epoch in batches `[R, B, ...]`, as they are evaluated with `evaluate_train`.

        Raises:
            InputError: If replicates differ in their number of training inputs.
        """
        if len(set(self.data.train_sizes)) > 1:
            raise InputError(
                "expected the same data.init_args.train_size in all replicates, because they are evaluated together, "
                "but the run has different ones: run it again with one number"
            )
        self.data.evaluate_train = True
        self.data.sampler.set_epoch(self.epoch - 1)
        _, train = self.data.val_dataloader()
        return train


def load_run(run: Path | str, checkpoint: Path | None = None) -> LoadedRun:
    """Make a run's module and data again from its config.yaml, with the weights of a checkpoint.

    Args:
        run: The run's directory.
        checkpoint: A checkpoint of the run; checkpoints/last.ckpt if None.

    Raises:
        InputError: If it is not a run, has no checkpoint, or has settings from which this version of tsl cannot make
            it.
        DamagedRecordsError: If config.yaml cannot be read.
    """
    config = read_config(run)
    path = checkpoint or Path(run) / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise InputError(f"{run} has no checkpoints/last.ckpt, so its weights were not saved: run it again")
    saved = read_tensors(path, keys=["state_dict", "epoch"])
    weights, epoch = saved["state_dict"], saved["epoch"] + 1
    objects = _instantiate(Path(run), config, {"model": TeacherStudent, "data": DataModule})
    module, data = objects["model"], objects["data"]
    if isinstance(module.teacher_initialization, TeacherOfRun):  # it is in the checkpoint; that run may be gone
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


def data_of_run(run: Path | str) -> DataModule:
    """The inputs of a run of any module, drawn as for its training; without its networks.

    Raises:
        InputError: If it is not a run, or names data that this version of tsl cannot make.
        DamagedRecordsError: If config.yaml cannot be read.
    """
    config = read_config(run)
    data: DataModule = _instantiate(Path(run), config, {"data": DataModule})["data"]
    data.prepare_data()
    precision = str((config.get("trainer") or {}).get("precision"))
    data.draw("fit", torch.float64 if precision.startswith("64") else torch.float32, torch.device("cpu"))
    return data


def _instantiate(run: Path, config: dict[str, Any], kinds: dict[str, type]) -> Any:
    """Make the objects of the groups `kinds` of config.yaml, which lacks the arguments that `tsl.fit` links."""
    linked = {"replicates": config.get("replicates", 1), "seed": config.get("seed_everything", 0)}
    parser = ArgumentParser(exit_on_error=False)
    for group, kind in kinds.items():
        parser.add_argument(group, type=kind)
    try:
        settings = {group: config[group] | {"init_args": linked | config[group]["init_args"]} for group in kinds}
        groups = parser.parse_object(settings)
        lay_out(groups, config)
        return parser.instantiate_classes(groups)
    except (ArgumentError, KeyError, TypeError) as error:
        words = f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{run / 'config.yaml'} does not define a valid {' and '.join(kinds)}: {words}") from error
