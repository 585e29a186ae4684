"""The teachers of E8 as runs of a sweep: one trained on labels by tsl.fit, and pruned by tsl.prune_teacher."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsl.configs import config_directory
from tsl.errors import InputError
from tsl.experiments.sweep import CellRun, check_settings, resolved_settings
from tsl.runs.summary import accuracies

RATIOS = ("0.3", "0.5", "0.5", "0.7")
"""The fraction of channels that each convolution of the teacher loses, as in the paper's experiments on CIFAR-10."""
EPOCHS_ON = {"quick": 10, "paper": 20}
"""Epochs that the pruned teacher is trained on."""


class TeacherRun(CellRun):
    """A run of tsl.modules.Classifier, which writes no records: its epochs are those in metrics.csv."""

    @property
    def epochs_done(self) -> int:
        """Epochs whose accuracy is told."""
        try:
            return min(int(accuracies(self.path).index.max()), self.epochs)
        except InputError:  # none yet
            return 0

    @property
    def epoch_cost(self) -> float:
        """Time of an epoch, in steps."""
        return self.student_steps


class PruningRun(TeacherRun):
    """A run of tsl.prune_teacher; its path is the directory that is written."""

    @property
    def complete(self) -> bool:
        """Whether its last file is there."""
        return (self.path / "compact.pt").exists()

    def command(self) -> list[str]:
        """What prunes the teacher and trains it on, from the start: it takes a small part of the teacher's time."""
        teacher = self.path.parents[1]
        return [
            sys.executable,
            "-m",
            "tsl.prune_teacher",
            str(teacher),
            "--ratios",
            *RATIOS,
            "--epochs",
            str(self.epochs),
        ]


def plan_teachers(scale: str, root: Path, overlays: Sequence[Path]) -> tuple[list[CellRun], dict[float | str, Path]]:
    """The runs that make the teachers of E8, in order, and each teacher's file by its name.

    Args:
        scale: "quick" or "paper".
        root: Directory of all runs.
        overlays: Configs laid over the teacher's own, such as one that says where the images are.

    Raises:
        InputError: If there are no images, or the teacher was trained with other settings.
    """
    configs = [config_directory() / "cifar10/teacher.yaml"]
    configs += [config_directory() / "quick/E8_teacher.yaml"] if scale == "quick" else []
    configs += overlays
    arguments = [word for config in configs for word in ("--config", str(config))]
    arguments += ["--trainer.default_root_dir", str(root / scale), "--experiment", "E8"]
    settings = resolved_settings(arguments)
    check_images(settings)
    arguments += ["--version", "teacher", "--trainer.enable_progress_bar", "false"]
    teacher = TeacherRun({"teacher": "unpruned"}, root / scale / "E8" / "teacher", arguments, settings)
    check_settings([teacher], set(configs))
    pruned = teacher.path / "pruned" / "_".join(RATIOS)
    tuning = settings | {"trainer.max_epochs": EPOCHS_ON[scale]}
    runs: list[CellRun] = [teacher, PruningRun({"teacher": "pruned"}, pruned, [], tuning)]
    return runs, {"unpruned": pruned / "unpruned.pt", "pruned": pruned / "compact.pt"}


def check_images(settings: dict[str, Any]) -> None:
    """Say how to get the images, before anything is started, if they are not there.

    Raises:
        InputError: If that is so.
    """
    folder = Path(settings.get("data.init_args.data_dir") or "data") / "cifar-10-batches-py"
    of_cifar = str(settings.get("data.class_path", "")).endswith("CIFAR10DataModule")
    if of_cifar and not folder.is_dir() and not settings.get("data.init_args.download"):
        raise InputError(
            f"the images of CIFAR-10 are not there: no {folder}. Give a file with --config that sets "
            "data.init_args.data_dir to the folder that holds them (and verify: false, for a copy that you trust), or "
            "data.init_args.download: true to fetch them"
        )
