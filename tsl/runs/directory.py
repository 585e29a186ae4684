"""Where a run is written, `<root>/<experiment>/<version>/`, and how a stopped run is resumed there."""

from pathlib import Path
from typing import Any

from tsl.errors import InputError
from tsl.runs.settings import RECORDING, WITHOUT_EFFECT, flatten, is_among

MAY_CHANGE = ("trainer.", "total_samples", "on_divergence", *RECORDING, *WITHOUT_EFFECT)
MAY_NOT_CHANGE = ("trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches", "chunk_size")
"""The exceptions to `MAY_CHANGE`. chunk_size is one because a checkpoint's position in an epoch counts chunks."""


def find_checkpoint(root: Path, experiment: str, version: str | None, ckpt_path: str) -> Path:
    """The checkpoint file for a value of `--ckpt_path`.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of the run; any run of the experiment if None.
        ckpt_path: A file, or "last" for the newest `last.ckpt`.

    Raises:
        InputError: If there is none.
    """
    if ckpt_path != "last":
        if not Path(ckpt_path).is_file():
            raise InputError(f"--ckpt_path {ckpt_path}: no such file. Give a checkpoint, or 'last' for the newest one")
        return Path(ckpt_path)
    candidates = list((root / experiment).glob(f"{version or '*'}/checkpoints/last.ckpt"))
    if not candidates:
        raise InputError(
            f"--ckpt_path last: {root / experiment / (version or '')} holds no checkpoints/last.ckpt. Check "
            "--experiment and --version, or leave --ckpt_path out to start a new run"
        )
    return max(candidates, key=lambda path: path.stat().st_mtime)


def epochs_of_checkpoint(checkpoint: Path) -> int:
    """The epochs that a checkpoint was trained for, counting the last one even if it was interrupted.

    Raises:
        InputError: If the file is damaged, or not a checkpoint of Lightning.
    """
    from tsl.tensor_files import read_tensors  # imports torch, which takes seconds that reading a run need not wait for

    return int(read_tensors(checkpoint, f"--ckpt_path {checkpoint}", keys=["epoch"])["epoch"]) + 1


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run directory that a checkpoint lies in, or None if it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    return run if (run / "config.yaml").is_file() else None


def check_same_run(run: Path, before: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse to resume a run with settings that change what it computes.

    Args:
        run: The run directory.
        before: The settings of the run, nested; with current defaults for settings that are newer than the run.
        config: The new settings, as a nested dictionary of plain values.

    Raises:
        InputError: Naming every setting that differs.
    """
    then, now = flatten(before), flatten(config)
    changed = [
        f"  {key}: {then.get(key)} in the run, {now.get(key)} now"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key) and (is_among(key, MAY_NOT_CHANGE) or not is_among(key, MAY_CHANGE))
    ]
    if changed:
        raise InputError(
            f"{run} was run with other settings:\n" + "\n".join(changed) + "\nResume it with the same ones "
            f"(--config {run}/config.yaml --ckpt_path last), or leave --ckpt_path out to start a new run"
        )
