"""Trains runs on a Ray cluster whose machines share this one's file system."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tsl.errors import InputError
from tsl.experiments.launchers import Job, Start
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import train


@contextmanager
def on_ray(workers: int | None, retries: int) -> Iterator[Start]:
    """A launcher that gives every run to a Ray worker; at its end Ray stops the workers, which stop their runs.

    The workers belong to the cluster that RAY_ADDRESS names or that `ray start` has started on this machine. If there
    is none, the launcher starts a cluster on this machine, which ends with the launcher. If a worker or its machine is
    lost, another worker continues the run from its checkpoint; this does not count as a failure of the run.

    Args:
        workers: The CPUs of a cluster that is started here, each with one run at a time; all cores if None.
        retries: How often a failed run is tried again.

    Raises:
        InputError: If Ray is not installed, if an existing cluster cannot be reached, or if `workers` is given although
            a cluster exists.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--launcher ray: Ray is not installed: pip install 'teacher-student-lightning[ray]'"
        ) from error
    try:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except ValueError as error:
        raise InputError(
            f"--workers {workers}: expected no number, because a Ray cluster exists already and gives its CPUs; leave "
            f"--workers out, or end that cluster with `ray stop` ({error})"
        ) from error
    except (ConnectionError, RuntimeError) as error:  # it does not answer, or has other versions of Python or Ray
        raise InputError(
            f"--launcher ray: the Ray cluster cannot be used: {error}; correct or unset RAY_ADDRESS and RAY_AUTH_MODE "
            "(see Ray's page on token authentication), or end the cluster with `ray stop`"
        ) from error
    remote = ray.remote(num_cpus=1, max_retries=-1)(train_in)

    def start(runs: Sequence[PlannedRun]) -> Sequence[Job]:
        return [remote.remote(Path.cwd(), run, retries).future() for run in runs]

    try:
        yield start
    finally:
        ray.shutdown()


def train_in(directory: Path, run: PlannedRun, retries: int) -> str | None:
    """Train a run in the directory that its paths are relative to, because workers start in another directory."""
    with contextlib.chdir(directory):
        return train(run, 1, retries)
