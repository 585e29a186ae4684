"""The teachers of E8 as runs of a sweep: one trained on labels by tsl.fit, and pruned by tsl.prune_teacher."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsl.configs import config_directory
from tsl.errors import InputError
from tsl.experiments.planned_run import PlannedRun, check_settings, resolved_config
from tsl.runs import Run
from tsl.runs.settings import flatten
from tsl.runs.summary import accuracies

RATIOS = ("0.3", "0.5", "0.5", "0.7")
"""The fraction of channels that each convolution of the teacher loses, as in the paper's experiments on CIFAR-10."""
EPOCHS_ON = {"quick": 10, "paper": 20}
"""Epochs of training after pruning."""


def last_epoch_with_accuracy(run: Run) -> int:
    """The last epoch of a Classifier's run, from metrics.csv, because it writes no records; 0 if there is none."""
    try:
        return int(accuracies(run.path).index.max())
    except InputError:
        return 0


def plan_teachers(scale: str, root: Path, overlays: Sequence[Path]) -> tuple[list[PlannedRun], dict[float | str, Path]]:
    """The runs that make the teachers of E8, in order, and each teacher's file by its name.

    Args:
        scale: "quick" or "paper".
        root: Directory of all runs.
        overlays: Configs laid over the teacher's own, such as one with data.init_args.data_dir.

    Raises:
        InputError: If there are no images, or the teacher was trained with other settings.
    """
    configs = [config_directory() / "cifar10/teacher.yaml"]
    configs += [config_directory() / "quick/E8_teacher.yaml"] if scale == "quick" else []
    configs += overlays
    arguments = [word for config in configs for word in ("--config", str(config))]
    arguments += ["--trainer.default_root_dir", str(root / scale), "--experiment", "E8"]
    settings = flatten(resolved_config(arguments))
    check_images(settings)
    arguments += ["--version", "teacher", "--trainer.enable_progress_bar", "false"]
    path = root / scale / "E8" / "teacher"
    arguments = ["tsl.fit", *arguments]
    teacher = PlannedRun({"teacher": "unpruned"}, path, arguments, settings, last_epoch_with_accuracy)
    check_settings([teacher], set(configs))
    tuning = settings | {"trainer.max_epochs": EPOCHS_ON[scale]}
    pruning = PlannedRun(
        {"teacher": "pruned"},
        path / "pruned" / "_".join(RATIOS),
        ["tsl.prune_teacher", str(path), "--ratios", *RATIOS, "--epochs", str(EPOCHS_ON[scale])],
        tuning,
        last_epoch_with_accuracy,
        last_file="compact.pt",
        resumes=False,  # it starts over, which takes little of the teacher's time
    )
    files: dict[float | str, Path] = {"unpruned": pruning.path / "unpruned.pt", "pruned": pruning.path / "compact.pt"}
    return [teacher, pruning], files


def check_images(settings: dict[str, Any]) -> None:
    """Refuse to start without the images; the message says how to get them.

    Raises:
        InputError: If there are no images.
    """
    folder = Path(settings.get("data.init_args.data_dir") or "data") / "cifar-10-batches-py"
    of_cifar = str(settings.get("data.class_path", "")).endswith("CIFAR10DataModule")
    if of_cifar and not folder.is_dir() and not settings.get("data.init_args.download"):
        raise InputError(
            f"the images of CIFAR-10 are missing: no {folder}. Give a file with --config that sets "
            "data.init_args.data_dir to the folder that holds them (and verify to false for a copy that you trust), or "
            "data.init_args.download to true to fetch them"
        )
