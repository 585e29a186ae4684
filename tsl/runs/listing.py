"""List runs, their states and outcomes: `python -m tsl.runs [DIR]`. Outside a terminal, lines are tab-separated.

A run whose replicates differ in settings has a row for each group of replicates with the same settings.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from tsl.errors import InputError
from tsl.names import FRACTION_RECOVERED
from tsl.runs.directory import command_to_resume
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
    """The last recorded outcome of a group of replicates; empty if there are no records.

    Attributes:
        epoch: The last epoch recorded.
        val_mse: Mean over replicates.
        rho_mean: The value of each layer, mean over replicates.
        recovered: Fraction of teacher nodes recovered at 0.95, of each layer, mean over replicates.
    """

    epoch: int | None = None
    val_mse: float | None = None
    rho_mean: tuple[float, ...] = ()
    recovered: tuple[float, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """List the runs of a directory; an error is one line on stderr and status 2.

    Args:
        arguments: The command line without the program's name; the process's own if None.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tsl.runs", description="List runs, their states and outcomes.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    parser.add_argument(
        "--where",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="list only rows that have all of these texts, such as resumable or polarity=1",
    )
    parser.add_argument("--sort", choices=COLUMNS, metavar="COLUMN", help=f"{', '.join(COLUMNS)} (default: run)")
    parser.add_argument("--reverse", action="store_true", help="the last row first")
    asked = parser.parse_args(arguments)
    try:
        rows = list_runs(asked.directory)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = [row for row in rows if all(any(text in cell for cell in row.values()) for text in asked.where)]
    if asked.sort is not None:
        rows.sort(key=lambda row: _by_number(row[asked.sort]))
    rows = rows[::-1] if asked.reverse else rows
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in [list(COLUMNS), *([row[name] for name in COLUMNS] for row in rows)]))
        return 0
    console = Console()
    console.print(_rich_table(rows, console.width))
    for line in describe_sweep(asked.directory):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for run, note in dict.fromkeys((row["run"], row["note"]) for row in rows if row["note"]):
        console.print(f"{run}: {note}", markup=False, highlight=False)
    if resumable := next((row["run"] for row in rows if row["state"] == RESUMABLE), None):
        command = command_to_resume(asked.directory / resumable)
        console.print(f"to resume {resumable}: {command}", markup=False, highlight=False, soft_wrap=True)
    return 0


def list_runs(directory: Path) -> list[dict[str, str]]:
    """A row for each run in a directory and below it, or for each setting within a run, with the `COLUMNS` as text.

    Raises:
        InputError: If there are no runs.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give the directory of runs (trainer.default_root_dir)")
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
    """The runs in a directory and below it: folders with records/, or with config.yaml and metrics.csv."""
    for folder, inner, files in os.walk(directory):
        path = Path(folder)
        if "records" in inner or ("config.yaml" in files and "metrics.csv" in files):
            inner.clear()
            yield path
        inner[:] = sorted(name for name in inner if name != "wandb" and not name.startswith("."))


def runs_of(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The runs that paths on a command line stand for, such as a sweep's directory, or `E2/*`, which has log files too.

    Args:
        paths: Directories of runs, directories that hold runs at any depth, and anything else.

    Returns:
        The runs, in order; and a note on each path that is a file, if there are several paths. A path that is neither a
        file nor a directory with runs stays among the runs, so that reading it gives the error message.
    """
    runs: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if path.is_file() and len(paths) > 1:
            notes.append(f"{path} is a file, not a run")
        else:
            runs += (sorted(find_runs(path)) if path.is_dir() else []) or [path]
    return runs or list(paths), notes


def read_outcomes(run: Run) -> list[Outcome]:
    """The last recorded outcome of each of a run's groups of replicates.

    Raises:
        DamagedRecordsError: If the records cannot be read.
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
    """The rows of a run, without the column `settings`."""
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
    """The time when a run started or ended, or, if status.json has none, when a file of it was last written."""
    try:
        moment = datetime.fromisoformat(str(since)).astimezone()
    except ValueError:
        files = [run, *run.glob("*"), *run.glob("checkpoints/*"), *run.glob("records/*")]
        moment = datetime.fromtimestamp(max(path.lstat().st_mtime for path in files))
    return f"{moment:%Y-%m-%d %H:%M}"


def _settings(groups: Sequence[ReplicateGroup]) -> list[str]:
    """The settings in which each group differs from the other groups of runs in the same directory."""
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


def _by_number(cell: str) -> tuple[bool, float, str]:
    """A sort key: numbers by size (of "3/10" and "0.9 0.8" the first one), then words, then empty cells."""
    number = re.match(r"-?\d[\d.]*(?:e[+-]?\d+)?(?=$|[/ %])", cell)
    return not number, float(number[0]) if number else 0.0, cell or chr(sys.maxunicode)


def _rich_table(rows: Sequence[dict[str, str]], width: int) -> Table:
    """The printed table, with a line for each row; long settings are cut off so that it fits the terminal's width."""
    columns = [name for name in COLUMNS if name != "note"]  # notes are printed below the table
    table = Table(box=None, padding=(0, 2, 0, 0))
    widest = {name: max(len(name), *(len(row[name]) for row in rows)) if rows else len(name) for name in columns}
    left = width - sum(widest[name] + 2 for name in columns if name != "settings")
    for name in columns:
        side: JustifyMethod = "right" if name in ("epoch", "val_mse", "rho_mean", "recovered") else "left"
        most = max(left - 2, len(name)) if name == "settings" else None
        table.add_column(name, justify=side, no_wrap=True, overflow="ellipsis", max_width=most)
    before = ""
    for row in rows:
        said = COLUMNS_OF_RUN if row["run"] == before else ()  # the row above shows them
        cells = {name: "" if name in said else row[name] for name in columns}
        table.add_row(*(Text(cells[name], COLOURS[row["state"]] if name == "state" else "") for name in columns))
        before = row["run"]
    return table
