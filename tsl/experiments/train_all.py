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
"""Seconds between two looks at the jobs."""


def progress_bar(console: Console) -> Progress:
    """A bar with a task's description, its field `steps`, and the time left."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"), TimeRemainingColumn()
    # The estimate is from all epochs so far: one may take longer than the half minute that rich looks back by itself.
    return Progress(*columns, TextColumn("left"), console=console, speed_estimate_period=float("inf"))


def as_they_end(
    runs: Sequence[PlannedRun], start: Start, report: Callable[[], None]
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Train runs; those that another process trains are waited for, and taken over if it ends before they do.

    Args:
        runs: The runs, in the order in which they are started.
        start: The function that a launcher gives.
        report: Called twice a second.

    Yields:
        Each run when it has ended, and what went wrong, or None.
    """
    jobs, elsewhere = list(zip(runs, start(runs), strict=True)), list[PlannedRun]()
    while jobs or elsewhere:
        report()
        ended = [(run, job) for run, job in jobs if job.done()]
        jobs = [(run, job) for run, job in jobs if (run, job) not in ended]
        for run, job in ended:
            error = outcome(job)
            if error == ELSEWHERE:
                elsewhere.append(run)
            else:
                yield run, error
        free = [run for run in elsewhere if not is_at_work(run)]
        elsewhere = [run for run in elsewhere if run not in free]
        jobs += zip(free, start(free), strict=True) if free else ()
        if jobs or elsewhere:
            time.sleep(POLL)


def outcome(job: Job) -> str | None:
    """What went wrong with an ended job, or None."""
    try:
        return job.result()
    except Exception as error:  # each engine has its own for a worker that was lost
        return f"the job was lost: {' '.join(str(error).split())}"


def train_all(runs: Sequence[PlannedRun], start: Start, console: Console) -> list[PlannedRun]:
    """Train all runs that are not complete, the longest first, and print what each came to and what all cost.

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
        console.print(f"left of those begun: {total - began:,} of {total:,} student-steps")
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
    console.print(f"all runs together, one after the other: {total_cost(run.path for run in runs)}", soft_wrap=True)
    return failed
