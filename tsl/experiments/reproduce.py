"""Reproduce a figure of the paper, or all: `python -m tsl.reproduce E2 --scale quick`.

Trains what the figure needs, one run of tsl.fit for each cell of the experiment's axes, then draws it, and prints and
writes the outcome beside what is published. Complete runs are not repeated, and interrupted ones are resumed, so the
same command can always be given again. Runs are written to `<root>/<scale>/<experiment>/<cell>`, each with its log
beside it.
"""

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tsl.configs import config_directory, find_config
from tsl.data.budget import budget_epochs
from tsl.errors import InputError
from tsl.experiments.cost import core_seconds, in_hours
from tsl.experiments.gradient_outcomes import gradient_in_words, gradient_order
from tsl.experiments.outcomes import (
    Outcome,
    accuracy_and_correlations,
    best_rates,
    corner,
    few_and_many_samples,
    final_loss,
    layer_correlations,
    mean_correlation,
    range_of_correlations,
    recovery,
)
from tsl.experiments.results import closing_table, results_of, write_results
from tsl.experiments.sweep import PlannedRun, cell_name, check_settings, resolved_config, train
from tsl.experiments.theorem_outcomes import growth_in_words, samples_needed
from tsl.experiments.theory_outcomes import (
    approach_to_theory,
    beside_theory,
    late_error,
    noise_law,
    strength_order,
)
from tsl.experiments.trained_teachers import plan_teachers
from tsl.figures import (
    alignment,
    best_correlation,
    convergence,
    final_error,
    gradient_at_recovery,
    l_shape,
    order_parameters,
    sample_needs,
    sample_size,
    success_rate,
    trained_teacher,
    trajectories,
)
from tsl.figures.__main__ import save
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, POLARITY, TRAIN_SIZE, flatten, in_words

AXES: dict[str, tuple[str, ...]] = {
    "multiplier": (MULTIPLIER,),
    "polarity": (POLARITY,),
    "train_size": (TRAIN_SIZE,),
    "dim": ("model.init_args.teacher.init_args.input_dim", "data.init_args.dim"),
    "teacher": (trained_teacher.CHECKPOINT,),
    "lr": ("model.init_args.optimizer.init_args.lr",),
}
"""The settings of each axis; the values of other axes are shipped configs, `<runs>/<value>.yaml`."""

Axes = Mapping[str, Sequence[float | str]]


@dataclass(frozen=True)
class Experiment:
    """The runs of a figure, and how they are drawn.

    Args:
        runs: Name of its runs, its config and its quick overlay; experiments with the same name share their runs.
        figure: The module that draws it.
        outcome: Gives the statistics of replicates with the same settings.
        axes: The values of each axis; the cells are all their combinations.
        quick: The values that the quick scale takes where it takes fewer; `--where` may ask for the others.
        base: The config that the experiment's is laid over.
        options: Further arguments of the figure's `draw`.
        outcome_over: Settings that may differ along the replicates of one outcome.
        across: Gives sentences about all runs together, printed below the table.
    """

    runs: str
    figure: ModuleType
    outcome: Outcome
    axes: Axes
    quick: Axes = field(default_factory=dict)
    base: str = "two_layer"
    options: Mapping[str, Any] = field(default_factory=dict)
    outcome_over: Sequence[str] = ()
    across: Callable[[Sequence[Run]], list[str]] | None = None


WIDTHS = (1, 2, 5, 10)
FEWER: Axes = {"polarity": (1, 2), "multiplier": (1, 2, 5)}
E1_AXES: Axes = {"polarity": (0, 1, 2), "multiplier": WIDTHS}
E2_AXES: Axes = {"polarity": (0.5, 1, 1.5, 2, 2.5), "multiplier": WIDTHS}
E3_AXES: Axes = {"polarity": (0, 0.5, 1, 1.5, 2, 2.5), "multiplier": WIDTHS}
E6_AXES: Axes = {
    "train_size": (5_000, 10_000, 12_500, 20_000, 50_000, 100_000, 200_000, 500_000, 2_000_000),
    "multiplier": (2,),
}
E6_WIDTHS_AXES: Axes = {"train_size": (10_000, 20_000, 50_000), "multiplier": (2, 5)}
E6_FEWER: Axes = {"train_size": (512, 2_048)}
E6_QUICK: Axes = {"train_size": (512, 2_048, 10_240, 102_400)}
E7_AXES: tuple[Axes, Axes] = ({"multiplier": (2, 10)}, {"multiplier": (5,)})
E9_AXES: tuple[Axes, Axes] = ({"dim": range(10, 101, 10), "multiplier": (2, 10)}, {"dim": (10, 50)})
E8_AXES: Axes = {"teacher": ("unpruned", "pruned"), "multiplier": (1, 2, 5)}
T1_AXES: tuple[Axes, Axes] = ({"nodes": ("K2", "K3"), "inputs": ("d500", "d1000", "d2000")}, {"inputs": ("d500",)})
T1_SIZE_AXES: Axes = {"nodes": ("K2",), "inputs": ("d500", "d1000", "d2000"), "course": ("plateau",)}
T2_AXES: tuple[Axes, Axes] = (
    {"multiplier": (1, 1.5, 2, 3), "lr": (0.0125, 0.025, 0.05)},
    {"multiplier": (1, 1.5), "lr": (0.025, 0.05)},
)
T4_AXES: tuple[Axes, Axes] = ({"polarity": (0.5, 1, 1.5)}, {"polarity": (1,)})
RATES_AXES: tuple[Axes, Axes] = (
    {"variant": ("adam_rates", "momentum_rates"), "lr": (0.0003, 0.001, 0.003, 0.01, 0.03)},
    {"lr": (0.001, 0.01)},
)
VARIANTS = ("plain", "leaky", "bn_before", "bn_after", "uniform", "adam", "momentum", "low_dimensional", "fresh")


def of_gradient(records: Axes, widths: Sequence[float] = WIDTHS) -> Experiment:
    """How large the gradient is when nodes of E2 are recovered: at all polarities, recorded as in E2 or otherwise."""
    axes = {**E3_AXES, **records, "multiplier": widths}
    fewer: Axes = {"polarity": (1, 2), "multiplier": widths[:3]}
    return Experiment("E2", gradient_at_recovery, gradient_order, axes, fewer, across=gradient_in_words)


def of_deep_students(variant: str, sizes: Sequence[int], **options: str) -> Experiment:
    """E6 in one of `configs/E6/*.yaml`, at 2x."""
    axes: Axes = {"variant": (variant,), "train_size": sizes, "multiplier": (2,)}
    return Experiment("E6", sample_size, layer_correlations, axes, E6_FEWER, "multilayer", options)


def of_samples(**varied: Sequence[float | str]) -> Experiment:
    """How many samples recovery needs, along one axis, with each kind of augmentation."""
    fixed: Axes = {"augmentation": ("plain", "agnostic", "aware"), "dim": (32,), "nodes": ("m5",), "multiplier": (2,)}
    return Experiment(
        "theorem",
        sample_needs,
        samples_needed,
        {**fixed, **varied},
        {axis: values[:3] for axis, values in varied.items()},
        outcome_over=[TRAIN_SIZE, "diverged"],
        across=growth_in_words,
    )


def on_inputs(distribution: str) -> Experiment:
    """E5 on one input distribution."""
    axes: Axes = {
        "augmentation": ("plain", "aware", "agnostic"),
        "distribution": (distribution,),
        "multiplier": WIDTHS,
    }
    fewer: Axes = {"multiplier": (1, 5)}
    return Experiment("E5", sample_size, few_and_many_samples, axes, fewer, outcome_over=[TRAIN_SIZE])


EXPERIMENTS = {
    "E1": Experiment("E1", l_shape, corner, E1_AXES, {"polarity": (1, 2), "multiplier": (1, 10)}),
    "E2": Experiment("E2", success_rate, recovery, E2_AXES, FEWER),
    "E3": Experiment("E2", convergence, final_loss, E3_AXES, FEWER),
    "E2-gradient": of_gradient({}),
    "E2-fine": of_gradient({"records": ("fine",)}, (1, 2)),
    "E4": Experiment("E4", trajectories, mean_correlation, {"polarity": (1,), "multiplier": (2,)}),
    "E5": on_inputs("gaussian"),
    "E5-rademacher": on_inputs("rademacher"),
    "E5-low_dimensional": on_inputs("low_dimensional"),
    "E6": Experiment("E6", sample_size, layer_correlations, E6_AXES, E6_QUICK, "multilayer"),
    "E6-widths": Experiment("E6", sample_size, layer_correlations, E6_WIDTHS_AXES, E6_FEWER, "multilayer"),
    "E6-cross_entropy": of_deep_students("cross_entropy", (10_000, 20_000, 50_000), evaluation_loss="val_loss"),
    "E6-unscaled": of_deep_students("unscaled", (5_000, 10_000)),
    "E7": Experiment("E7", l_shape, layer_correlations, *E7_AXES, "multilayer", {"epochs": ()}),
    "E8": Experiment("E8", trained_teacher, accuracy_and_correlations, E8_AXES, base="cifar10/student"),
    "E9": Experiment("E9", best_correlation, range_of_correlations, *E9_AXES),
    "T1": Experiment("T1", order_parameters, beside_theory, *T1_AXES, "committee", {"theory": True}),
    "T1-size": Experiment(
        "T1",
        order_parameters,
        beside_theory,
        T1_SIZE_AXES,
        {},
        "committee",
        {"theory": True},
        across=approach_to_theory,
    ),
    "T2": Experiment("T2", final_error, late_error, *T2_AXES, "committee", across=noise_law),
    "T3": Experiment("T3", order_parameters, beside_theory, {"multiplier": (1, 2)}, {}, "committee", {"theory": True}),
    "T4": Experiment("T4", order_parameters, strength_order, *T4_AXES, "committee", {"theory": True}),
    "theorem-d": of_samples(dim=(8, 16, 32, 64, 128)),
    "theorem-m": of_samples(nodes=("m2", "m5", "m10", "m20")),
    "theorem-n": of_samples(multiplier=WIDTHS),
    "E10": Experiment("E10", alignment, layer_correlations, {"variant": VARIANTS}, {}, "multilayer"),
    "E10-rates": Experiment("E10", alignment, layer_correlations, *RATES_AXES, "multilayer", across=best_rates),
    "E10-noise": Experiment("E10", alignment, layer_correlations, {"variant": ("noise",)}, {}, "multilayer"),
}


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

    Values of an axis that `files` names stand for these files.

    Raises:
        InputError: If a run is there that was made with other settings.
    """
    shipped, names = config_directory(), [experiment.base, experiment.runs]
    last = [shipped / "quick" / f"{experiment.runs}.yaml"] if scale == "quick" else []
    last += overlays
    where = ["--trainer.default_root_dir", str(root / scale), "--experiment", experiment.runs]
    settings: dict[tuple[Path, ...], dict[str, Any]] = {}
    runs = []
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        named = [f"{experiment.runs}/{value}" for axis, value in cell.items() if axis not in AXES]
        configs = (*(shipped / f"{name}.yaml" for name in (*names, *named)), *last)
        common = [*(word for config in configs for word in ("--config", str(config))), *where]
        if configs not in settings:
            settings[configs] = flatten(resolved_config(common))
        stands_for = {axis: str(files[value]) if files and value in files else value for axis, value in cell.items()}
        varied = {key: value for axis, value in stands_for.items() if axis in AXES for key in AXES[axis]}
        arguments = ["tsl.fit", *common, "--version", cell_name(cell), "--trainer.enable_progress_bar", "false"]
        arguments += [word for key, value in varied.items() for word in (f"--{key}", in_words(value))]
        path = root / scale / experiment.runs / cell_name(cell)
        of_cell = settings[configs] | varied
        if of_cell["total_samples"] is not None:
            data = {key.removeprefix("data.init_args."): value for key, value in of_cell.items()}
            of_cell["trainer.max_epochs"] = budget_epochs(of_cell["total_samples"], data)
        runs.append(PlannedRun(cell, path, arguments, of_cell))
    check_settings(runs, {config for configs in settings for config in configs})
    return runs


def train_all(runs: Sequence[PlannedRun], console: Console) -> list[PlannedRun]:
    """Train all runs that are not complete, one after the other, under one progress bar; gives those that failed."""
    missing = [run for run in runs if not run.complete]
    failed: list[PlannedRun] = []
    console.print(f"runs: {len(runs)}, of them complete: {len(runs) - len(missing)}")
    if not missing:
        return failed
    total_steps = sum(run.epochs * run.student_steps for run in runs)

    def report() -> None:
        steps = sum(run.epochs_done * run.student_steps for run in runs)
        shown = f"{steps / 1000:,.0f}k/{total_steps / 1000:,.0f}k student-steps,"
        progress.update(task, completed=sum(run.epochs_done * run.epoch_cost for run in runs), steps=shown)

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"), TimeRemainingColumn()
    # The estimate is from all epochs so far: one may take longer than the half minute that rich looks back by itself.
    with Progress(*columns, TextColumn("left"), console=console, speed_estimate_period=float("inf")) as progress:
        task = progress.add_task("", total=sum(run.epochs * run.epoch_cost for run in runs), steps="")
        report()
        for number, run in enumerate(missing, start=1):
            progress.update(task, description=f"{number}/{len(missing)} {run.path.name}")
            start, first = time.monotonic(), run.epochs_done
            error = train(run, report)
            if error is None:
                seconds = time.monotonic() - start
                console.print(f"{run.path}: {run.epochs - first} epochs in {seconds:.0f} s", soft_wrap=True)
            else:
                console.print(f"error: {error}", soft_wrap=True)
                failed.append(run)
    return failed


def planned(name: str, asked: argparse.Namespace) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """The runs of an experiment, and those of teachers that come before."""
    experiment, overlays = EXPERIMENTS[name], [find_config(config) for config in asked.config]
    axes = chosen_axes(experiment, asked.scale, asked.where)
    teachers, files = plan_teachers(asked.scale, asked.root, overlays) if "teacher" in axes else ([], {})
    return plan(experiment, asked.scale, axes, asked.root, overlays, files), teachers


def reproduce(name: str, asked: argparse.Namespace, console: Console) -> int:
    """Train, draw and print the outcome; gives the exit status, and raises an InputError for a user's mistake."""
    experiment = EXPERIMENTS[name]
    runs, teachers = planned(name, asked)
    if any(train_all([teacher], console) for teacher in teachers):  # the first that fails is the last
        console.print("students are not trained, because their teacher's run failed")
        return 1
    failed = train_all(runs, console)
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
        console.print(f"figure drawn to {out / name}.pdf and .png, results written to {name}.json", soft_wrap=True)
    if failed:
        names = ", ".join(run.path.name for run in failed)
        console.print(f"{len(failed)} of {len(runs)} runs failed and are not in the figure: {names}", soft_wrap=True)
    return 1 if failed else 0


def show_plan(names: Sequence[str], asked: argparse.Namespace, console: Console) -> None:
    """Print what is done and what is left of each experiment; runs that several share count where they come first."""
    table = Table("experiment", "runs", "complete", "student-steps left", "one core takes about")
    counted: set[Path] = set()
    total = 0.0
    for name in names:
        try:
            of_experiment, teachers = planned(name, asked)
        except InputError as error:
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
        table.add_row(name, str(len(runs)), str(complete), f"{left:,}", f"{in_hours(known)}{more}")
    console.print(table)
    console.print(f"in all about {in_hours(total)} of one core; several cores share it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m tsl.reproduce", description="Train what a figure of the paper needs, and draw it."
    )
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    scale = "the paper's settings, or those of the shipped quick/*.yaml, for minutes on two cores (default: quick)"
    parser.add_argument("--scale", choices=("quick", "paper"), default="quick", help=scale)
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    only = "run and draw only these cells: polarity=1,2 multiplier=2"
    parser.add_argument("--where", **several, metavar="AXIS=VALUE[,VALUE]", help=only)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="directory of all runs (default: runs)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the figure goes (default: <root>/<scale>)")
    parser.add_argument("--config", **several, type=Path, metavar="FILE", help="lay this over every run")
    parser.add_argument("--dry-run", action="store_true", help="print what is done, what is left and how long it takes")
    asked = parser.parse_args(arguments)
    names = list(EXPERIMENTS) if asked.experiment == "all" else [asked.experiment]
    console = Console(highlight=False, markup=False)
    try:
        if asked.dry_run:
            show_plan(names, asked, console)
            return 0
        return max(reproduce(name, asked, console) for name in names)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = f"python -m tsl.reproduce {shlex.join(arguments)}"
        print(f"stopped; finished work is kept. The same command continues it:\n  {again}", file=sys.stderr)
        return 130
