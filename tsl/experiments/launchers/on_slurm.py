"""Trains runs as a job array of SLURM, on machines that share this one's file system."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsl.errors import InputError
from tsl.experiments.launchers import Job, Start
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import train


class SlurmTraining:
    """Trains a run in a job; when SLURM preempts the job, or its time is over, it is queued again and goes on."""

    def __call__(self, run: PlannedRun, threads: int, retries: int) -> str | None:
        """Train the rest of the run."""
        return train(run, threads, retries)

    def checkpoint(self, run: PlannedRun, threads: int, retries: int) -> Any:
        """What submitit queues again: the same, since what was trained lies in the run's directory."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run, threads, retries)


@contextmanager
def on_slurm(workers: int | None, retries: int, options: Sequence[str], root: Path) -> Iterator[Start]:
    """A launcher that submits runs as one job array; its jobs go on when the launcher's process ends.

    Args:
        workers: Jobs at a time; as many as SLURM has room for if None.
        retries: How often a failed run is tried again.
        options: Options of sbatch, as "partition=gpu"; `cpus_per_task` is also the threads of a run.
        root: Directory of all runs; submitit's files lie in `<root>/.slurm`.

    Raises:
        InputError: If submitit or SLURM is missing, or an option cannot be read.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "--launcher slurm: submitit is not installed: pip install 'teacher-student-lightning[slurm]'"
        ) from error
    if shutil.which("sbatch") is None:
        raise InputError("--launcher slurm: there is no sbatch here; start the command on a machine that submits jobs")
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise InputError(f"--slurm {option}: expected OPTION=VALUE, such as partition=gpu")
        given[key] = int(value) if value.isdigit() else value
    threads = given.setdefault("cpus_per_task", 1)
    executor = submitit.SlurmExecutor(folder=root / ".slurm", max_num_timeout=1000)
    executor.update_parameters(array_parallelism=workers or 256, **given)

    def start(runs: Sequence[PlannedRun]) -> Sequence[Job]:
        return executor.map_array(SlurmTraining(), runs, [threads] * len(runs), [retries] * len(runs))

    yield start
