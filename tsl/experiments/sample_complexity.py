"""Find the training size at which recovery becomes likely.

`python -m tsl.sample_complexity configs/two_layer.yaml configs/quickstart.yaml --budget 5e7`.

N* is the training size at which a given share of the lowest layer's teacher nodes is recovered (best correlation above
0.95 on evaluation inputs, at the last epoch). It is found by bisection on log N over runs of tsl.fit, with an interval
over their replicates. With `--vary d=10,20,40` (or m, or multiplier) it is found for each value; the program then fits
how N* grows, and compares the exponent with the theorem's.

Every size is trained for the same number of steps, so the config needs `steps_per_epoch` and `replacement: true`. Runs
that are complete are not repeated, and an interrupted one is resumed: the same command can always be given again. Runs
are written to `<root>/sample_complexity/<experiment of the config>/<cell>`, with tables and figure beside them.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse.typing import OpenUnitInterval, PositiveFloat, PositiveInt, restricted_number_type
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from tsl.configs import find_config
from tsl.errors import InputError
from tsl.experiments.cells import Cell, plan_run
from tsl.experiments.launchers import Start, add_launcher_arguments, chosen_launcher
from tsl.experiments.planned_run import PlannedRun, check_settings, resolved_config
from tsl.experiments.repeatable import exit_status
from tsl.experiments.train_all import as_they_end, progress_bar
from tsl.figures import sample_complexity as figure
from tsl.figures.__main__ import save
from tsl.names import NODE_RECOVERED
from tsl.replicates import differing_settings
from tsl.runs.records import read_table
from tsl.runs.settings import MULTIPLIER, TRAIN_SIZE, flatten
from tsl.runs.summary import last_epoch
from tsl.runs.whole_files import written_whole
from tsl.theory.bounds import augmented_samples, teacher_aware_samples
from tsl.theory.tipping_point import Bracket, bisect, growth, runs_left, tipping_point

DIM = "data.init_args.dim"
INPUT_DIM, WIDTHS = (f"model.init_args.teacher.init_args.{key}" for key in ("input_dim", "widths"))
STUDENT_WIDTHS = "model.init_args.student.init_args.widths"

AXES: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "d": lambda value: {DIM: int(value), INPUT_DIM: int(value)},
    "m": lambda value: {WIDTHS: [int(value)]},
    "multiplier": lambda value: {MULTIPLIER: value},
}
"""The settings that each axis changes."""

ORDERS = {
    "theorem, teacher-agnostic, K^(5/2) d³": augmented_samples,
    "theorem, teacher-aware, K^(5/2) d": teacher_aware_samples,
}


@dataclass
class Search:
    """The bisection for one value of the axis.

    Args:
        cell: The axis and its value; empty if no axis is varied.
        make_run: Function that returns the run of a training size.
        least: Smallest training size.
        most: Largest training size.
        share: The share of teacher nodes to be recovered.
        precision: Ratio of the bracket's ends at which to stop.
        shares: The share that is recovered in each replicate, by training size.
        failed: Whether a run failed, which ends the search.
    """

    cell: dict[str, float]
    make_run: Callable[[int], PlannedRun]
    least: int
    most: int
    share: float
    precision: float
    shares: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    failed: bool = False

    @property
    def bracket(self) -> Bracket:
        """The state of the search."""
        return bisect(self.shares, self.least, self.most, self.share, self.precision)

    @property
    def next_run(self) -> PlannedRun | None:
        """The run that the search needs next; None if the search has ended."""
        size = self.bracket.next_size
        return None if size is None or self.failed else self.make_run(size)

    @property
    def runs_in_all(self) -> int:
        """The number of runs done and still expected, if `least` and `most` enclose N*."""
        left = 0 if self.failed else runs_left(self.bracket, self.shares, self.least, self.most, self.precision)
        return len(self.shares) + left

    @property
    def student_steps(self) -> int:
        """Optimizer steps × replicates of the runs done so far; every size takes the same number."""
        run = self.make_run(self.least)
        return len(self.shares) * run.epochs * run.student_steps

    @property
    def cost_of_a_run(self) -> float:
        """Time of a run, in the unit of `PlannedRun.epoch_cost`."""
        run = self.make_run(self.least)
        return run.epochs * run.epoch_cost

    @property
    def outcome(self) -> str:
        """The outcome so far, in words."""
        lower, upper, next_size = self.bracket
        if not self.shares:
            return "nothing measured"
        if next_size is not None:
            return f"stopped within {lower} to {upper}" if {lower, upper} <= set(self.shares) else "stopped early"
        if self.shares[self.least].mean() >= self.share:
            return f"already reached at {self.least}"
        if self.shares[self.most].mean() < self.share:
            return f"not reached at {self.most}"
        return f"found within {lower} to {upper}"

    def take(self, run: PlannedRun) -> None:
        """Add the outcome of a complete run."""
        nodes = last_epoch(read_table(run.path, "teacher_nodes"))
        recovered = nodes[nodes["layer"] == 1].groupby("replicate")[NODE_RECOVERED].mean()
        self.shares[run.settings[TRAIN_SIZE]] = recovered.to_numpy(dtype=float)


def search_all(searches: Sequence[Search], budget: float, start: Start, console: Console) -> bool:
    """Bisect for every value of the axis in rounds, so that all searches are equally far when the budget ends.

    The runs of a round are trained side by side.

    Args:
        searches: The searches; the measured shares are added to them.
        budget: Student-steps that all runs together may take, those done before included.
        start: The launcher's function that starts runs.
        console: Where to show progress.

    Returns:
        Whether the budget was enough.
    """
    for search in searches:
        while (run := search.next_run) is not None and run.complete:
            search.take(run)
    at_work: list[PlannedRun] = []

    def report() -> None:
        steps = sum(search.student_steps for search in searches)
        steps += sum(run.epochs_done * run.student_steps for run in at_work)
        done = sum(len(search.shares) * search.cost_of_a_run for search in searches)
        done += sum(run.epochs_done * run.epoch_cost for run in at_work)
        total = sum(search.runs_in_all * search.cost_of_a_run for search in searches)
        shown = f"{steps:,.0f} of {budget:,.0f} student-steps,"
        progress.update(task, completed=done, total=total, steps=shown)

    with progress_bar(console) as progress:
        task = progress.add_task("", steps="")
        while going := {run.path: (search, run) for search in searches if (run := search.next_run) is not None}:
            left = budget - sum(search.student_steps for search in searches)
            for _, run in going.values():
                left -= run.epochs * run.student_steps
                if left >= 0:
                    at_work.append(run)
            enough = left >= 0
            for run, error in as_they_end(tuple(at_work), start, report):
                search, _ = going[run.path]
                at_work.remove(run)
                if error is None:
                    search.take(run)
                    sizes = search.shares[run.settings[TRAIN_SIZE]]
                    console.print(f"{run.path}: {sizes.mean():.1%} recovered", soft_wrap=True)
                else:
                    search.failed = True
                    console.print(f"error: {error}", soft_wrap=True)
            if not enough:
                return False
        report()
    return True


def plan(asked: argparse.Namespace) -> tuple[str, list[Search]]:
    """The axis that a command line varies ("" for none), and the search for each of its values.

    Raises:
        InputError: If the settings do not allow a search, or a run with other settings already exists.
    """
    axis, values = read_axis(asked.vary) if asked.vary else ("", [math.nan])
    configs = [find_config(name) for name in asked.config]
    root = asked.root / "sample_complexity"
    config = resolved_config([word for path in configs for word in ("--config", str(path))])
    settings = flatten(config)
    check(settings, axis)
    if differing := differing_settings(config, settings["replicates"]):
        raise InputError(
            f"{', '.join(differing)}: expected one value for all replicates, because a search finds one training size "
            "for them, but several came: give one value, and search again for each other value"
        )
    only_at_the_end = {"records.epochs": [settings["trainer.max_epochs"]]}

    def run_of(cell: dict[str, float], size: int) -> PlannedRun:
        changes = only_at_the_end | {TRAIN_SIZE: size} | (AXES[axis](cell[axis]) if cell else {})
        return plan_run(Cell(cell | {"N": size}, configs, changes), settings, root / settings["experiment"])

    least, most = int(asked.least), int(asked.most or settings[TRAIN_SIZE])  # not jsonargparse's subclasses
    if not least < most:
        raise InputError(f"--least {least}, --most {most} ({TRAIN_SIZE} if not given): expected least < most")
    cells = [{axis: value} if axis else {} for value in values]
    searches = [Search(cell, partial(run_of, cell), least, most, asked.share, asked.precision) for cell in cells]
    check_settings([search.make_run(least) for search in searches], configs)
    return axis, searches


def read_axis(vary: str) -> tuple[str, list[float]]:
    """The axis and its values, read from words such as "multiplier=1,2,5"; raises InputError if that fails."""
    axis, _, listed = vary.partition("=")
    if axis not in AXES:
        raise InputError(f"--vary {vary}: there is no axis {axis!r}; choose among {', '.join(AXES)}")
    try:
        values = [float(value) for value in listed.split(",")]
    except ValueError:
        raise InputError(f"--vary {vary}: expected {axis}=NUMBER[,NUMBER…]") from None
    if min(values) <= 0 or (axis != "multiplier" and any(value % 1 for value in values)):
        raise InputError(f"--vary {vary}: expected {'positive' if axis == 'multiplier' else 'whole positive'} numbers")
    return axis, sorted(set(values))


def check(settings: Mapping[str, Any], axis: str) -> None:
    """Refuse settings with which training sizes cannot be compared, or the axis cannot be varied."""
    if settings.get("data.init_args.steps_per_epoch") is None or not settings.get("data.init_args.replacement"):
        raise InputError(
            "every training size has to train for the same number of steps: set data.init_args.steps_per_epoch, and "
            "data.init_args.replacement to true"
        )
    if settings["replicates"] < 2:
        raise InputError(
            "replicates = 1: the interval is over replicates; give at least 2, or 16 for a reliable interval"
        )
    if axis == "m" and len(settings.get(WIDTHS, [])) != 1:
        raise InputError(f"--vary m: {WIDTHS} = {settings.get(WIDTHS)}: expected one hidden layer")
    if axis in ("m", "multiplier") and settings.get(STUDENT_WIDTHS) is not None:
        raise InputError(f"--vary {axis}: {STUDENT_WIDTHS} fixes the student's nodes; leave it out")


def theorem(searches: Sequence[Search]) -> dict[str, list[float]]:
    """The theorem's sample sizes at ε = 1 for each value, by the name of the order; empty for more than two layers."""
    bounds: dict[str, list[float]] = {}
    for search in searches:
        settings = search.make_run(search.least).settings
        if len(settings.get(WIDTHS, [])) == 1:
            (m,) = settings[WIDTHS]
            (n,) = settings.get(STUDENT_WIDTHS) or [settings[MULTIPLIER] * m]
            for name, bound in ORDERS.items():
                bounds.setdefault(name, []).append(bound(m, n, settings[DIM], 1.0))
    return bounds


def write_and_print(axis: str, searches: Sequence[Search], out: Path, console: Console) -> None:
    """Write tables and figure, and print the outcome."""
    points = {search.cell.get(axis, math.nan): tipping_point(search.shares, search.share) for search in searches}
    shares = pd.DataFrame(
        [
            {"value": search.cell.get(axis, math.nan), "train_size": size, "replicate": replicate, "share": share}
            for search in searches
            for size, of_size in sorted(search.shares.items())
            for replicate, share in enumerate(of_size)
        ]
    )
    fit, bounds = growth(points), theorem(searches)
    table = Table(title=f"N* at which {searches[0].share:.0%} of teacher nodes are recovered", box=box.SIMPLE)
    for heading in (axis or "config", "N*", "95 % interval", "runs", "outcome"):
        table.add_column(heading)
    rows = []
    for search, (value, point) in zip(searches, points.items(), strict=True):
        named = f"{value:g}" if axis else out.parent.name
        interval = f"{point.low:,.0f} to {point.high:,.0f}"
        table.add_row(named, f"{point.size:,.0f}", interval, str(len(search.shares)), search.outcome)
        rows.append({"value": value, **point._asdict(), "outcome": search.outcome, "steps": search.student_steps})
    console.print(table)
    tipping = pd.DataFrame(rows).drop(columns="draws")
    for name, frame in {"shares": shares, "tipping": tipping}.items():
        with written_whole(out.with_name(f"{out.name}_{name}.csv")) as temporary:
            frame.to_csv(temporary, index=False)
    picture = figure.draw(shares, points, searches[0].share, axis, fit, bounds)
    for suffix in ("pdf", "png"):
        save(picture, out.with_name(f"{out.name}.{suffix}"))
    if fit is not None:
        console.print(f"measured: N* grows as {axis}^{fit.exponent:.2f} ± {fit.standard_error:.2f}")
        for name, of_values in bounds.items():
            found = [(value, n) for (value, point), n in zip(points.items(), of_values, strict=True) if point.found]
            exponent = np.polyfit(np.log([value for value, _ in found]), np.log([n for _, n in found]), 1)[0]
            console.print(f"{name}: {axis}^{exponent:.2f} over the same values")
    console.print(f"written to {out}.pdf, .png, _shares.csv and _tipping.csv", soft_wrap=True)


def find(asked: argparse.Namespace, console: Console) -> int:
    """Search and print the outcome; gives the exit status, and raises an InputError for a user's mistake."""
    axis, searches = plan(asked)
    with chosen_launcher(asked) as start:
        enough = search_all(searches, asked.budget, start, console)
    measured = [search for search in searches if search.shares]
    if measured:
        write_and_print(axis, measured, measured[0].make_run(1).path.with_name(axis or "tipping"), console)
    if not enough:
        console.print(
            f"the budget of {asked.budget:,.0f} student-steps ended the search; give a larger --budget to continue",
            soft_wrap=True,
        )
    return 1 if any(search.failed for search in searches) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m tsl.sample_complexity",
        description="Find the training size at which teacher nodes are recovered.",
    )
    parser.add_argument(
        "config", nargs="+", type=Path, metavar="CONFIG", help="file or shipped config; later override earlier ones"
    )
    vary = f"find the size for each value of an axis, such as d=10,20,40 (axes: {', '.join(AXES)})"
    parser.add_argument("--vary", metavar="AXIS=VALUE[,VALUE]", help=vary)
    share = "share of teacher nodes to be recovered (default: 0.9)"
    parser.add_argument("--share", type=OpenUnitInterval, default=0.9, help=share)
    parser.add_argument("--least", type=PositiveInt, default=10, metavar="N", help="smallest size (default: 10)")
    parser.add_argument("--most", type=PositiveInt, metavar="N", help="largest size (default: the config's train_size)")
    precision = "stop when the sizes below and above N* have at most this ratio (default: 1.1)"
    parser.add_argument("--precision", type=restricted_number_type(None, float, (">", 1)), default=1.1, help=precision)
    budget = "optimizer steps × replicates that all runs may take (default: 1e9)"
    parser.add_argument("--budget", type=PositiveFloat, default=1e9, metavar="STEPS", help=budget)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="directory of all runs (default: runs)")
    add_launcher_arguments(parser)
    asked = parser.parse_args(arguments)
    return exit_status(parser.prog, arguments, lambda: find(asked, Console(highlight=False, markup=False)))
