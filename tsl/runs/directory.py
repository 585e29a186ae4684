"""Where a run is written, `<root>/<experiment>/<version>/`, and how a stopped run goes on in the same place."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import yaml

from tsl.errors import InputError
from tsl.runs.settings import WITHOUT_EFFECT, flatten, is_among
from tsl.runs.translation import translated

# What may differ when a run goes on: how long, where and how watched, but not what it computes.
MAY_CHANGE = ("trainer", "total_samples", "checkpoint", "records", "ckpt_path", "weights_only", "version")
MAY_NOT_CHANGE = ("trainer.precision", "trainer.limit_train_batches")


def find_checkpoint(root: Path, experiment: str, version: str | None, ckpt_path: str) -> Path:
    """The checkpoint file that `--ckpt_path` means.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of the run; any run of the experiment where None.
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
    """The epochs that a checkpoint has seen, the last of them perhaps in part.

    Raises:
        InputError: If the file is no checkpoint of Lightning's, or damaged.
    """
    import torch  # takes seconds that reading a run need not wait for

    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"]) + 1
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise InputError(
            f"--ckpt_path {checkpoint} is damaged, or no checkpoint written by tsl.fit: choose another, or leave "
            "--ckpt_path out to start a new run"
        ) from error


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run directory that a checkpoint lies in, or None if it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    return run if (run / "config.yaml").is_file() else None


def check_same_run(run: Path, config: dict[str, Any]) -> None:
    """Refuse to go on with a run under settings that change what it computes.

    Args:
        run: The run directory.
        config: The settings of now, as a nested dictionary of plain values.

    Raises:
        InputError: Naming every setting that differs.
    """
    before = flatten(translated(yaml.safe_load((run / "config.yaml").read_text())))
    now = flatten(config)
    changed = [
        f"  {key}: {before.get(key)} in the run, {now.get(key)} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        and not is_among(key, WITHOUT_EFFECT)
        and (key in MAY_NOT_CHANGE or key.split(".")[0] not in MAY_CHANGE)
    ]
    if changed:
        raise InputError(
            f"{run} was run with other settings:\n" + "\n".join(changed) + "\nResume it with the same ones "
            f"(--config {run}/config.yaml --ckpt_path last), or leave --ckpt_path out to start a new run"
        )
