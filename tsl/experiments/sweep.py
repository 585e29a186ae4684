"""Train all combinations of settings, with many seeds: `python -m tsl.sweep SWEEP.yaml`.

Axes whose settings may differ along the replicates of one run become replicates, and all others become runs, split so
that each fits the memory and the time of a core. Runs that are complete are not repeated, and interrupted ones go on
from their checkpoints: the same command can always be given again, at the same time too. Runs are written to
`<root>/<name>/<run>`, each with its log beside it, and the plan to `<root>/<name>/sweep.json`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tsl.configs import find_config
from tsl.errors import InputError
from tsl.experiments.cells import Cell, plan_runs
from tsl.experiments.cost import core_seconds, memory
from tsl.experiments.launchers import add_launcher_arguments, chosen_launcher, cores
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.repeatable import exit_status
from tsl.experiments.sweep_file import SweepFile, read_sweep_file
from tsl.experiments.sweep_plan import plan_sweep
from tsl.experiments.train_all import train_all
from tsl.runs.cost import duration
from tsl.runs.directory import check_name
from tsl.runs.settings import flatten
from tsl.runs.sweep_state import PLAN, describe_sweep
from tsl.runs.whole_files import written_whole

MOST_RUNS = 1000
"""The largest number of combinations that is trained without --yes."""

SHOWN = 40
"""The largest number of runs that --dry-run lists one by one."""


def open_plan(sweep: SweepFile, directory: Path, workers: int, keep: bool) -> list[PlannedRun]:
    """The runs of a sweep: read from the plan in its directory, or planned now.

    Args:
        sweep: The content of the sweep file.
        directory: The directory of its runs.
        workers: The number of runs at a time.
        keep: Whether the plan is written into the directory, so that a later start has the same runs.

    Raises:
        InputError: If the directory belongs to another sweep; the message names what differs.
    """
    path = directory / PLAN
    if not path.exists():
        cells = plan_sweep(sweep, directory, workers)
        runs = plan_runs(cells, directory)
        if not keep:
            return runs
        plan = {"sweep": asdict(sweep), "runs": [entry(cell, run) for cell, run in zip(cells, runs, strict=True)]}
        directory.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(plan, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        there, cells = plan["sweep"], [Cell(**each["cell"]) for each in plan["runs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}): move it away; complete runs beside it are not repeated"
        ) from error
    now = json.loads(json.dumps(asdict(sweep)))
    before, after = flatten(there), flatten(now)
    changed = [
        f"  {key}: {before.get(key, 'nothing')} there, {after.get(key, 'nothing')} now"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    if changed:
        raise InputError(
            f"{directory} holds the runs of another sweep:\n" + "\n".join(changed) + "\nGive this one another --name"
        )
    return plan_runs([Cell(cell.values, [*map(Path, cell.configs)], cell.settings) for cell in cells], directory)


def entry(cell: Cell, run: PlannedRun) -> dict[str, Any]:
    """A run's entry in the plan: its cell and its cost."""
    of_cell = {"values": dict(cell.values), "configs": [*map(str, cell.configs)], "settings": dict(cell.settings)}
    takes = {"epochs": run.epochs, "student_steps": run.epochs * run.student_steps, "core_seconds": core_seconds(run)}
    return {"name": run.path.name, "cell": of_cell, **takes}


def print_plan(runs: Sequence[PlannedRun], console: Console) -> None:
    """Print the cost of each run and of all runs together."""
    table = Table("run", "replicates", "student-steps", "one core takes about", "memory")
    replicates = [run.settings["replicates"] for run in runs]
    steps = [run.epochs * run.student_steps for run in runs]
    for run, of_run, steps_of_run in list(zip(runs, replicates, steps, strict=True))[:SHOWN]:
        seconds = core_seconds(run)
        takes = "complete" if run.complete else "unknown" if seconds is None else duration(seconds)
        table.add_row(run.path.name, str(of_run), f"{steps_of_run:,}", takes, f"{memory(run) / 1e9:.1f} GB")
    console.print(table)
    if len(runs) > SHOWN:
        console.print(f"and {len(runs) - SHOWN} more runs")
    total = sum(core_seconds(run) or 0 for run in runs)
    console.print(
        f"{len(runs)} runs of {sum(replicates):,} replicates, {sum(steps):,} student-steps: about {duration(total)} on "
        f"one core, {duration(total / cores())} on the {cores()} cores here",
        soft_wrap=True,
    )


def sweep_all(asked: argparse.Namespace, console: Console) -> int:
    """Plan and train; gives the exit status, and raises an InputError for a user's mistake."""
    path = find_config(asked.sweep)
    sweep, name = read_sweep_file(path), asked.name or path.stem
    check_name("--name", name)
    directory = asked.root / name
    if sweep.combinations > MOST_RUNS and not asked.yes:
        raise InputError(
            f"{path} asks for {sweep.combinations:,} combinations × {sweep.seeds} seeds: give --yes if you mean "
            "that, with --dry-run first to see what they take"
        )
    runs = open_plan(sweep, directory, asked.workers or cores(), keep=not asked.dry_run)
    if asked.dry_run:
        print_plan(runs, console)
        return 0
    with chosen_launcher(asked) as start:
        failed = train_all(runs, start, console)
    for line in describe_sweep(directory):
        console.print(line, soft_wrap=True)
    look = f"to look at them: tsl runs {directory}, tsl report {directory}, tsl figures NAME {directory}"
    console.print(look, soft_wrap=True)
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m tsl.sweep", description="Train all combinations of settings, with many seeds."
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="file with configs, axes and seeds")
    parser.add_argument("--name", help="name of the sweep, and of its directory (default: the file's name)")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="directory of all runs (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="print the runs and what they take, and train nothing")
    parser.add_argument("--yes", action="store_true", help=f"train more than {MOST_RUNS} combinations")
    add_launcher_arguments(parser)
    asked = parser.parse_args(arguments)
    return exit_status(parser.prog, arguments, lambda: sweep_all(asked, Console(highlight=False, markup=False)))
