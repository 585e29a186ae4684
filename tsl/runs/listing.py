"""List runs, their states and outcomes: `python -m tsl.runs [DIR]`; tab-separated lines where it is no terminal."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tsl.errors import InputError
from tsl.figures.runs import setting_differences
from tsl.runs.records import read_config, read_last
from tsl.runs.status import COMPLETE, FAILED, RESUMABLE, RUNNING, STATES, read_status, run_state

COLUMNS = ("run", "state", "epoch", "val_mse", "rho_mean", "recovered", "settings", "when", "note")
COLOURS = dict(zip(STATES, ("cyan", "green", "red", "yellow"), strict=True))


class Outcome(NamedTuple):
    """What the last records of a run say, as far as it has them.

    Attributes:
        epoch: The last epoch recorded.
        val_mse: Mean over replicates.
        rho_mean: Of each layer, mean over replicates.
        recovered: Fraction of teacher nodes recovered at 0.95, as `rho_mean`.
    """

    epoch: int | None = None
    val_mse: float | None = None
    rho_mean: tuple[float, ...] = ()
    recovered: tuple[float, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """List the runs of a directory; an error is one line on stderr and status 2.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tsl.runs", description="List runs, their states and outcomes.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    directory = parser.parse_args(arguments).directory
    try:
        rows = list_runs(directory)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if sys.stdout.isatty():
        console = Console()
        console.print(_rich_table(rows))
        if any(row["state"] == RESUMABLE for row in rows):
            command = f"python -m tsl.fit --config {directory}/RUN/config.yaml --ckpt_path last"
            console.print(f"go on with a resumable run: {command}", markup=False, highlight=False, soft_wrap=True)
    else:
        print("\n".join("\t".join(row) for row in [list(COLUMNS), *([row[name] for name in COLUMNS] for row in rows)]))
    return 0


def list_runs(directory: Path) -> list[dict[str, str]]:
    """A row for each run at or below a directory, with the `COLUMNS` in words.

    Raises:
        InputError: If there are none.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no directory; name the one that holds runs (trainer.default_root_dir)")
    paths = sorted(find_runs(directory))
    if not paths:
        raise InputError(f"{directory} holds no runs: nothing in it has a config.yaml of tsl.fit, or records/")
    rows, configs = [], []
    for path in paths:
        config, row = _describe(path)
        configs.append(config)
        rows.append(row | {"run": "." if path == directory else str(path.relative_to(directory))})
    for row, settings in zip(rows, _settings(paths, configs), strict=True):
        row["settings"] = settings
    return rows


def find_runs(directory: Path) -> Iterator[Path]:
    """The runs at or below a directory: what holds records/, or a config.yaml of a model."""
    for folder, inner, files in os.walk(directory):
        path = Path(folder)
        if "records" in inner or ("config.yaml" in files and "metrics.csv" in files):
            inner.clear()
            yield path
        inner[:] = sorted(name for name in inner if name != "wandb" and not name.startswith("."))


def read_outcome(run: Path) -> Outcome:
    """What the last records of a run say.

    Raises:
        DamagedRecordsError: If they cannot be read.
    """
    losses = read_last(run, "losses", ("epoch", "val_mse"))
    if not losses:
        return Outcome()
    layers = read_last(run, "layers", ("split", "layer", "rho_mean", "recovered_fraction_0.95"))
    by_layer: dict[int, list[tuple[float, float]]] = {}
    for split, layer, *values in zip(*layers.values(), strict=True):
        if split == "val":
            by_layer.setdefault(layer, []).append((values[0], values[1]))
    means = [np.mean(by_layer[layer], axis=0) for layer in sorted(by_layer)]
    rho_mean, recovered = (tuple(float(mean[column]) for mean in means) for column in (0, 1))
    return Outcome(losses["epoch"][0], float(np.mean(losses["val_mse"])), rho_mean, recovered)


def _describe(run: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a run, and its row but for its name and what sets it apart."""
    config: dict[str, Any] = {}
    outcome, status, notes = Outcome(), read_status(run), []
    try:
        config = read_config(run)
    except InputError as error:
        notes.append(str(error))
    try:
        outcome = read_outcome(run)
    except InputError as error:
        notes.append(str(error))
    trainer = config.get("trainer")
    planned = trainer.get("max_epochs") if isinstance(trainer, dict) else None
    state = run_state(run, planned)
    if state == FAILED:
        notes.append(status.get("error") or "it stopped and left no checkpoint")
    if not status and state != COMPLETE:
        notes.append("it has no status.json (an older run), so it may still be running")
    of_epochs = f"{outcome.epoch}/{planned}" if outcome.epoch is not None else f"-/{planned}"
    since = status.get("started") if state == RUNNING else status.get("ended")
    return config, {
        "state": state,
        "epoch": of_epochs,
        "val_mse": "" if outcome.val_mse is None else f"{outcome.val_mse:.3g}",
        "rho_mean": " ".join(f"{value:.3f}" for value in outcome.rho_mean),
        "recovered": " ".join(f"{value:.0%}" for value in outcome.recovered),
        "when": _local_time(run, since),
        "note": "; ".join(" ".join(note.split()) for note in notes),
    }


def _local_time(run: Path, since: str | None) -> str:
    """When it started or ended; when something was last written to it, if it does not say."""
    try:
        moment = datetime.fromisoformat(str(since)).astimezone()
    except ValueError:
        files = [run, *run.glob("*"), *run.glob("checkpoints/*"), *run.glob("records/*")]
        moment = datetime.fromtimestamp(max(path.stat().st_mtime for path in files))
    return f"{moment:%Y-%m-%d %H:%M}"


def _settings(paths: Sequence[Path], configs: Sequence[dict[str, Any]]) -> list[str]:
    """What sets each run apart from the others in its directory."""
    words = [""] * len(paths)
    by_parent: dict[Path, list[int]] = {}
    for index, path in enumerate(paths):
        if configs[index]:
            by_parent.setdefault(path.parent, []).append(index)
    for indices in by_parent.values():
        for key, values in setting_differences([configs[index] for index in indices]).items():
            for index, value in zip(indices, values, strict=True):
                if value is not None:
                    words[index] += f" {short_name(key)}={str(value).replace(' ', '')}"
    return [word.strip() for word in words]


def short_name(key: str) -> str:
    """The last words of a setting's dotted name that say what it is.

    >>> short_name("model.init_args.teacher_initialization.init_args.polarity")
    'teacher_initialization.polarity'
    """
    words = [word for word in key.split(".") if word not in ("init_args", "class_path")]
    return ".".join(words[-2:]) if len(words) > 2 else words[-1]


def _rich_table(rows: Sequence[dict[str, str]]) -> Table:
    table = Table()
    for name in COLUMNS:
        numbers = name in ("epoch", "val_mse", "rho_mean", "recovered")
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[name], COLOURS[row["state"]] if name == "state" else "") for name in COLUMNS))
    return table
