"""Reproduce a figure of the paper, or all: `python -m tsl.reproduce E2 --scale quick`.

Trains what the figure needs, one run of tsl.fit for each cell of the experiment's axes. Then it draws the figure,
writes a report of the runs, and prints and writes the outcome beside what is published. Complete runs are not repeated,
and interrupted ones are resumed, so the same command can always be given again. Runs are written to
`<root>/<scale>/<experiment>/<cell>`, each with its log beside it.
"""

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tsl.configs import config_directory, find_config
from tsl.errors import InputError
from tsl.experiments.catalogue import AXES, EXPERIMENTS, Axes, Experiment
from tsl.experiments.cells import Cell, plan_runs
from tsl.experiments.cost import core_seconds
from tsl.experiments.launchers import Start, add_launcher_arguments, chosen_launcher
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.repeatable import exit_status
from tsl.experiments.results import closing_table, results_of, write_results
from tsl.experiments.train_all import train_all
from tsl.experiments.trained_teachers import plan_teachers
from tsl.figures.__main__ import save
from tsl.report.__main__ import write_report
from tsl.runs import Run
from tsl.runs.cost import duration
from tsl.runs.settings import in_words

FILE_WIDTH = 160
"""Characters in a line where output does not go to a terminal, so that no table is cut off."""


def chosen_axes(experiment: Experiment, scale: str, where: Sequence[str]) -> dict[str, list[float | str]]:
    """The values of each axis that are run.

    Args:
        experiment: The experiment.
        scale: "quick" or "paper".
        where: Restrictions such as "polarity=1,2".

    Raises:
        InputError: If a restriction cannot be read, or names an unknown axis or value.
    """
    axes = {axis: list(values) for axis, values in experiment.axes.items()}
    chosen = axes | ({axis: list(values) for axis, values in experiment.quick.items()} if scale == "quick" else {})
    for restriction in where:
        axis, given, listed = restriction.partition("=")
        if not given:
            raise InputError(f"--where {restriction}: expected AXIS=VALUE[,VALUE…]")
        if axis not in axes:
            raise InputError(f"--where {restriction}: there is no axis {axis!r}; choose among {', '.join(axes)}")
        by_name = {in_words(value): value for value in axes[axis]}
        asked = [in_words(number(word)) for word in listed.split(",")]
        if absent := [value for value in asked if value not in by_name]:
            raise InputError(
                f"--where {restriction}: {axis} has no {', '.join(absent)}; choose among {', '.join(by_name)}"
            )
        chosen[axis] = [value for name, value in by_name.items() if name in asked]
    return chosen


def number(word: str) -> float | str:
    """The number that a word is, or else the word."""
    try:
        return float(word)
    except ValueError:
        return word


def plan(
    experiment: Experiment,
    scale: str,
    axes: Axes,
    root: Path,
    overlays: Sequence[Path],
    files: Mapping[float | str, Path] | None = None,
) -> list[PlannedRun]:
    """The run of each cell, with `overlays` laid over the experiment's configs.

    `files` gives the file that a value of an axis stands for.

    Raises:
        InputError: If a run with other settings already exists.
    """
    shipped, files = config_directory(), files or {}
    last = [shipped / "quick" / f"{experiment.runs}.yaml"] if scale == "quick" else []
    cells = []
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        named = [f"{experiment.runs}/{value}" for axis, value in cell.items() if axis not in AXES]
        configs = [shipped / f"{name}.yaml" for name in (experiment.base, experiment.runs, *named)]
        settings = {
            key: str(files[value]) if value in files else value
            for axis, value in cell.items()
            if axis in AXES
            for key in AXES[axis]
        }
        cells.append(Cell(cell, [*configs, *last, *overlays], settings))
    return plan_runs(cells, root / scale / experiment.runs)


def planned(name: str, asked: argparse.Namespace) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """The runs of an experiment, and the runs of teachers that have to be trained before them."""
    experiment, overlays = EXPERIMENTS[name], [find_config(config) for config in asked.config]
    axes = chosen_axes(experiment, asked.scale, asked.where)
    teachers, files = plan_teachers(asked.scale, asked.root, overlays) if "teacher" in axes else ([], {})
    return plan(experiment, asked.scale, axes, asked.root, overlays, files), teachers


def reproduce(name: str, asked: argparse.Namespace, start: Start, console: Console) -> int:
    """Train, draw and print the outcome, and return the exit status; a user's mistake raises an InputError."""
    experiment = EXPERIMENTS[name]
    runs, teachers = planned(name, asked)
    if any(train_all([teacher], start, console) for teacher in teachers):  # the first teacher that fails ends this
        console.print("students are not trained, because their teacher's run failed")
        return 1
    failed = train_all(runs, start, console)
    drawn = [run for run in runs if run.complete]
    if drawn:
        done = [Run(run.path) for run in drawn]
        figure = experiment.figure.draw(done, **experiment.options)
        out = asked.out or asked.root / asked.scale
        for suffix in ("pdf", "png"):
            save(figure, out / f"{name}.{suffix}")
        results = results_of(name, asked.scale, drawn, experiment.outcome, experiment.outcome_over)
        console.print(closing_table(results))
        write_results(results, out / f"{name}.json")
        for sentence in experiment.across(done) if experiment.across else ():
            console.print(sentence, soft_wrap=True)
        write_report([run.path for run in drawn], out / f"{name}.html")
        written = f"written to {out}: the figure {name}.pdf and .png, the results {name}.json, the report {name}.html"
        console.print(written, soft_wrap=True)
    if failed:
        names = ", ".join(run.path.name for run in failed)
        console.print(f"{len(failed)} of {len(runs)} runs failed and are not in the figure: {names}", soft_wrap=True)
    return 1 if failed else 0


def show_plan(names: Sequence[str], asked: argparse.Namespace, console: Console) -> None:
    """Print what is done and what is left of each experiment; runs that several share count only for the first one."""
    table = Table("experiment", "runs", "complete", "student-steps left", "one core takes about")
    counted: set[Path] = set()
    total = 0.0
    for name in names:
        try:
            of_experiment, teachers = planned(name, asked)
        except InputError as error:
            if len(names) == 1:
                raise
            table.add_row(name, "", "", "", str(error).splitlines()[0])
            continue
        runs = [run for run in (*teachers, *of_experiment) if run.path not in counted]
        counted |= {run.path for run in runs}
        left = sum((run.epochs - run.epochs_done) * run.student_steps for run in runs)
        seconds = [core_seconds(run) for run in runs if not run.complete]
        known = sum(second for second in seconds if second is not None)
        total += known
        more = " and more" if None in seconds else ""
        complete = sum(run.complete for run in runs)
        table.add_row(name, str(len(runs)), str(complete), f"{left:,}", f"{duration(known)}{more}")
    console.print(table)
    console.print(f"in all about {duration(total)} on one core; several cores divide this time")


def reproduce_all(asked: argparse.Namespace, console: Console) -> int:
    """Reproduce what was asked for, or only show the plan; gives the exit status."""
    names = list(EXPERIMENTS) if asked.experiment == "all" else [asked.experiment]
    if asked.dry_run:
        show_plan(names, asked, console)
        return 0
    with chosen_launcher(asked) as start:
        return max(reproduce(name, asked, start, console) for name in names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m tsl.reproduce",
        description="Train what a figure of the paper needs, draw it, and write a report of the runs.",
    )
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    scale = "the paper's settings, or those of quick/*.yaml, which take minutes on two cores (default: quick)"
    parser.add_argument("--scale", choices=("quick", "paper"), default="quick", help=scale)
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    only = "run and draw only these cells: polarity=1,2 multiplier=2"
    parser.add_argument("--where", **several, metavar="AXIS=VALUE[,VALUE]", help=only)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="directory of all runs (default: runs)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the figure (default: <root>/<scale>)")
    parser.add_argument("--config", **several, type=Path, metavar="FILE", help="settings for every run")
    parser.add_argument("--dry-run", action="store_true", help="print what is done, what is left and how long it takes")
    add_launcher_arguments(parser)
    asked = parser.parse_args(arguments)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
    return exit_status(parser.prog, arguments, lambda: reproduce_all(asked, console))
