"""Trains runs on a Ray cluster whose machines share this one's file system."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tsl.errors import InputError
from tsl.experiments.launchers import Job, Start
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import train


@contextmanager
def on_ray(workers: int | None, retries: int) -> Iterator[Start]:
    """A launcher that gives every run to a worker of Ray's.

    The workers are those of the cluster that RAY_ADDRESS or `ray start` has set up, or else of one on this machine,
    which ends with the launcher. A run whose worker dies is given to another one, and goes on from its checkpoint.

    Args:
        workers: The CPUs of a cluster that is started here, each with one run at a time; all cores if None.
        retries: How often a failed run is tried again.

    Raises:
        InputError: If Ray is not installed, or a cluster that runs is to have so many workers.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--launcher ray: Ray is not installed: pip install 'teacher-student-lightning[ray]'"
        ) from error
    try:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except ValueError as error:  # a cluster that runs has its own number of CPUs
        raise InputError(f"--workers {workers}: the Ray cluster that runs here has its own number: {error}") from error
    remote = ray.remote(num_cpus=1, max_retries=retries)(train)

    def start(runs: Sequence[PlannedRun]) -> Sequence[Job]:
        return [remote.remote(run, 1, retries).future() for run in runs]

    try:
        yield start
    finally:
        ray.shutdown()
