"""Train many planned runs under one progress bar, wherever a launcher trains them."""

import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tsl.experiments.launchers import Job, Start
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import ELSEWHERE, is_at_work
from tsl.runs.cost import cost_of, total_cost

POLL = 0.5
"""Seconds between two checks of the jobs."""


def progress_bar(console: Console) -> Progress:
    """A bar with a task's description, its field `steps`, and the time left."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"), TimeRemainingColumn()
    # The estimate uses all epochs so far, because one may take longer than the half minute that rich uses by default.
    return Progress(*columns, TextColumn("left"), console=console, speed_estimate_period=float("inf"))


def as_they_end(
    runs: Sequence[PlannedRun], start: Start, report: Callable[[], None]
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Train runs. A run that another process trains is waited for, and taken over if that process ends too early.

    Args:
        runs: The runs, in the order in which they are started.
        start: The launcher's function that starts runs.
        report: Called twice a second.

    Yields:
        Each run when it has ended, with what went wrong, or None.
    """
    jobs, elsewhere = list(zip(runs, start(runs), strict=True)), list[PlannedRun]()
    while jobs or elsewhere:
        report()
        ended = [(run, job) for run, job in jobs if job.done()]
        jobs = [(run, job) for run, job in jobs if (run, job) not in ended]
        for run, job in ended:
            error = outcome(run, job)
            if error == ELSEWHERE:
                elsewhere.append(run)
            else:
                yield run, error
        free = [run for run in elsewhere if not is_at_work(run)]
        elsewhere = [run for run in elsewhere if run not in free]
        yield from ((run, None) for run in free if run.complete)
        free = [run for run in free if not run.complete]
        jobs += zip(free, start(free), strict=True) if free else ()
        if jobs or elsewhere:
            time.sleep(POLL)


def outcome(run: PlannedRun, job: Job) -> str | None:
    """What went wrong with a run whose job has ended, or None."""
    try:
        error = job.result()
    except Exception as lost:  # each launcher has its own exception for a lost worker
        error = f"was lost with its worker: {' '.join(str(lost).split())}"
    return error if error in (None, ELSEWHERE) else f"{run.path} {error}"


def train_all(runs: Sequence[PlannedRun], start: Start, console: Console) -> list[PlannedRun]:
    """Train all runs that are not complete, the longest first, and print the cost of each and of all.

    Returns:
        The runs that failed.
    """
    left = sorted((run for run in runs if not run.complete), key=lambda run: run.cost_left, reverse=True)
    failed: list[PlannedRun] = []
    errors: list[str] = []
    complete = len(runs) - len(left)
    console.print(f"runs: {len(runs)}, of them complete: {complete}")
    if not left:
        return []
    total = sum(run.epochs * run.student_steps for run in left)
    began = sum(run.epochs_done * run.student_steps for run in left)
    if began:
        console.print(f"left to train: {total - began:,} of {total:,} student-steps")
    cost, steps = 0.0, 0

    def report() -> None:
        at_work = [(run, done) for run in left if (done := run.epochs_done)]
        shown = steps + sum(done * run.student_steps for run, done in at_work)
        progress.update(
            task,
            completed=cost + sum(done * run.epoch_cost for run, done in at_work),
            description=f"{len(runs) - len(left)}/{len(runs)} runs",
            steps=f"{shown:,} of {total:,} student-steps,",
        )

    with progress_bar(console) as progress:
        task = progress.add_task("", total=sum(run.epochs * run.epoch_cost for run in left), steps="")
        for run, error in as_they_end(tuple(left), start, report):
            left.remove(run)
            cost, steps = cost + run.epochs * run.epoch_cost, steps + run.epochs * run.student_steps
            if error is None:
                console.print(f"{run.path}: {cost_of(run.path) or 'complete'}", soft_wrap=True)
            else:
                failed.append(run)
                errors.append(error)
                console.print(f"{run.path}: failed, see below", soft_wrap=True)
        report()
    for error in errors:
        console.print(f"error: {error}", soft_wrap=True)
    console.print(f"all runs together, if one after the other: {total_cost(run.path for run in runs)}", soft_wrap=True)
    return failed
