"""Where the runs of a sweep are trained: on this machine, on a Ray cluster, or by SLURM.

A launcher is a context manager that yields a function `start`, which takes runs and returns a `Job` for each. Every
launcher trains a run with `tsl.experiments.training.train`, so outcome and files are the same for all launchers.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from jsonargparse.typing import NonNegativeInt, PositiveInt

from tsl.errors import InputError
from tsl.experiments.planned_run import PlannedRun


class Job(Protocol):
    """A run that is being trained or waits for its turn; futures and submitit's jobs have this form."""

    def done(self) -> bool:
        """Whether it has ended."""
        ...

    def result(self) -> str | None:
        """What went wrong, or None; raises what the launcher's own engine raises if a worker was lost."""
        ...


Start = Callable[[Sequence[PlannedRun]], Sequence[Job]]


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that trains many runs."""
    group = parser.add_argument_group("where the runs are trained")
    where = "this machine, a Ray cluster (a running one, or else a new one here), or SLURM (default: local)"
    group.add_argument("--launcher", choices=("local", "ray", "slurm"), default="local", help=where)
    workers = "runs at a time (default: one for each core; as many as Ray or SLURM have room for)"
    group.add_argument("--workers", type=PositiveInt, metavar="N", help=workers)
    retries = "how often a failed run is tried again, from its last checkpoint (default: 1)"
    group.add_argument("--retries", type=NonNegativeInt, default=1, metavar="N", help=retries)
    slurm = "options of sbatch, such as partition=gpu time=120 (minutes)"
    group.add_argument("--slurm", nargs="+", action="extend", default=[], metavar="OPTION=VALUE", help=slurm)


def chosen_launcher(asked: argparse.Namespace) -> AbstractContextManager[Start]:
    """The launcher that a command line asks for.

    Raises:
        InputError: If Ray or submitit is not installed, or an option of SLURM cannot be read.
    """
    if asked.slurm and asked.launcher != "slurm":
        raise InputError(f"--slurm {' '.join(asked.slurm)}: has no effect without --launcher slurm")
    if asked.launcher == "local":
        from tsl.experiments.launchers.local import local

        return local(asked.workers, asked.retries)
    if asked.launcher == "ray":
        from tsl.experiments.launchers.on_ray import on_ray

        return on_ray(asked.workers, asked.retries)
    from tsl.experiments.launchers.on_slurm import on_slurm

    return on_slurm(asked.workers, asked.retries, asked.slurm, asked.root)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
