"""Trains runs on this machine, one or more at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from tsl.experiments.launchers import Job, Start, cores
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import train


@contextmanager
def local(workers: int | None, retries: int) -> Iterator[Start]:
    """A launcher that trains runs on this machine; at its end it stops the runs in training, which can go on later.

    Runs side by side, each on cores of its own, are faster than runs one after the other on all cores (measured, see
    benchmarks/README.md). If there are fewer runs than cores, each run gets several cores.

    Args:
        workers: The number of runs at a time; as many as there are cores if None.
        retries: How often a failed run is tried again.
    """
    stop = Event()
    pool = ThreadPoolExecutor(workers or cores())

    def start(runs: Sequence[PlannedRun]) -> Sequence[Job]:
        threads = max(1, cores() // max(1, min(len(runs), workers or cores())))
        return [pool.submit(train, run, threads, retries, stop) for run in runs]

    try:
        yield start
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
