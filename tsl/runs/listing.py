"""List runs, their states and outcomes: `python -m tsl.runs [DIR]`; tab-separated lines if not on a terminal.

A run whose replicates differ in settings has a row for each group of replicates that have the same ones.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tsl.errors import InputError
from tsl.names import FRACTION_RECOVERED
from tsl.runs.records import read_last
from tsl.runs.run import ReplicateGroup, Run, readable_run
from tsl.runs.settings import RECORDING, differences, in_words, names_in_words
from tsl.runs.status import COMPLETE, FAILED, RESUMABLE, RUNNING, STATES
from tsl.runs.sweep_state import describe_sweep

COLUMNS = ("run", "state", "epoch", "val_mse", "rho_mean", "recovered", "settings", "when", "note")
COLUMNS_OF_RUN = ("run", "state", "epoch", "when", "note")
"""The columns that rows of the same run have in common."""

COLOURS = dict(zip(STATES, ("cyan", "green", "red", "yellow"), strict=True))


class Outcome(NamedTuple):
    """The last recorded outcome of a group of replicates; empty where there are no records.

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
        for line in describe_sweep(directory):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if any(row["state"] == RESUMABLE for row in rows):
            command = f"python -m tsl.fit --config {directory}/RUN/config.yaml --ckpt_path last"
            console.print(f"to resume a run: {command}", markup=False, highlight=False, soft_wrap=True)
    else:
        print("\n".join("\t".join(row) for row in [list(COLUMNS), *([row[name] for name in COLUMNS] for row in rows)]))
    return 0


def list_runs(directory: Path) -> list[dict[str, str]]:
    """A row for each run at or below a directory, or for each setting in it, with the `COLUMNS` in words.

    Raises:
        InputError: If there are none.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give the one that holds runs (trainer.default_root_dir)")
    paths = sorted(find_runs(directory))
    if not paths:
        raise InputError(f"{directory} holds no runs: nothing in it has a config.yaml of tsl.fit, or records/")
    runs = [readable_run(path, "." if path == directory else str(path.relative_to(directory))) for path in paths]
    rows = [row for run in runs for row in _rows(run)]
    groups = [group for run in runs for group in run.groups]
    for row, settings in zip(rows, _settings(groups), strict=True):
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


def read_outcomes(run: Run) -> list[Outcome]:
    """The last recorded outcome of each of a run's groups of replicates.

    Raises:
        DamagedRecordsError: If they cannot be read.
    """
    losses = read_last(run.path, "losses", ("epoch", "replicate", "val_mse"))
    if not losses:
        return [Outcome()] * len(run.groups)
    layers = read_last(run.path, "layers", ("split", "layer", "replicate", "rho_mean", FRACTION_RECOVERED))
    group_of = {replicate: number for number, group in enumerate(run.groups) for replicate in group.replicates}
    errors: list[list[float]] = [[] for _ in run.groups]
    for replicate, error in zip(losses["replicate"], losses["val_mse"], strict=True):
        errors[group_of.get(replicate, 0)].append(error)
    by_layer: list[dict[int, list[tuple[float, float]]]] = [{} for _ in run.groups]
    for split, layer, replicate, *values in zip(*layers.values(), strict=True):
        if split == "val":
            by_layer[group_of.get(replicate, 0)].setdefault(layer, []).append((values[0], values[1]))
    outcomes = []
    for of_group, of_layers in zip(errors, by_layer, strict=True):
        means = [np.mean(of_layers[layer], axis=0) for layer in sorted(of_layers)]
        rho_mean, recovered = (tuple(float(mean[column]) for mean in means) for column in (0, 1))
        error = float(np.mean(of_group)) if of_group else None
        outcomes.append(Outcome(losses["epoch"][0], error, rho_mean, recovered))
    return outcomes


def _rows(run: Run) -> list[dict[str, str]]:
    """The rows of a run, without the settings in which they differ."""
    notes = list(run.notes)
    try:
        outcomes = read_outcomes(run)
    except InputError as error:
        outcomes = [Outcome()] * len(run.groups)
        notes.append(str(error))
    state, status = run.state, run.status
    if state == FAILED:
        notes.append(status.get("error") or "it stopped and has no checkpoint to resume from")
    if not status and state != COMPLETE:
        notes.append("it has no status.json (an older version wrote it), so it may still be running")
    epoch = "-" if outcomes[0].epoch is None else str(outcomes[0].epoch)
    of_run = {
        "run": run.name,
        "state": state,
        "epoch": epoch if run.planned_epochs is None else f"{epoch}/{run.planned_epochs}",
        "when": _local_time(run.path, status.get("started") if state == RUNNING else status.get("ended")),
        "note": "; ".join(" ".join(str(note).split()) for note in dict.fromkeys(notes)),
    }
    return [
        of_run
        | {
            "val_mse": "" if outcome.val_mse is None else f"{outcome.val_mse:.3g}",
            "rho_mean": " ".join(f"{value:.3f}" for value in outcome.rho_mean),
            "recovered": " ".join(f"{value:.0%}" for value in outcome.recovered),
        }
        for outcome in outcomes
    ]


def _local_time(run: Path, since: str | None) -> str:
    """When it started or ended; if status.json does not say, when a file of it was last written."""
    try:
        moment = datetime.fromisoformat(str(since)).astimezone()
    except ValueError:
        files = [run, *run.glob("*"), *run.glob("checkpoints/*"), *run.glob("records/*")]
        moment = datetime.fromtimestamp(max(path.lstat().st_mtime for path in files))
    return f"{moment:%Y-%m-%d %H:%M}"


def _settings(groups: Sequence[ReplicateGroup]) -> list[str]:
    """The settings in which each group differs from the others of the runs in the same directory."""
    words = [group.label for group in groups]
    by_parent: dict[Path, list[int]] = {}
    for index, group in enumerate(groups):
        if group.run.config:
            by_parent.setdefault(group.run.path.parent, []).append(index)
    for indices in by_parent.values():
        found = differences([groups[index].settings for index in indices], RECORDING)
        names = names_in_words(list(found))
        for place, index in enumerate(indices):
            values = {names[key]: values[place] for key, values in found.items() if values[place] is not None}
            words[index] = " ".join(f"{name}={in_words(value)}" for name, value in values.items())
    return words


def _rich_table(rows: Sequence[dict[str, str]]) -> Table:
    table = Table()
    for name in COLUMNS:
        numbers = name in ("epoch", "val_mse", "rho_mean", "recovered")
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    before = ""
    for row in rows:
        said = COLUMNS_OF_RUN if row["run"] == before else ()  # shown in the row above
        cells = {name: "" if name in said else row[name] for name in COLUMNS}
        table.add_row(*(Text(cells[name], COLOURS[row["state"]] if name == "state" else "") for name in COLUMNS))
        before = row["run"]
    return table
