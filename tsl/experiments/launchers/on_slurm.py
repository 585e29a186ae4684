"""Trains runs as a job array of SLURM, on machines that share this one's file system."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsl.errors import InputError
from tsl.experiments.launchers import Job, Start
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import INTERRUPTED, train

LOOK = 5.0
"""Seconds between two queries of SLURM's queue."""

TIME = 60
"""Minutes of a job if the user gives no time; a run that takes longer is queued again and goes on."""

KILLED_WITHIN = 600
"""Seconds within which SLURM is expected to end a job whose processes it has told to stop."""


class SlurmTraining:
    """Trains a run in a job; when SLURM preempts the job, or its time is over, it is queued again and goes on."""

    def __call__(self, run: PlannedRun, threads: int, retries: int) -> str | None:
        """Train the rest of the run."""
        error = train(run, threads, retries)
        if error == INTERRUPTED:
            time.sleep(KILLED_WITHIN)  # return no result, because SLURM may queue the job again
        return error

    def checkpoint(self, run: PlannedRun, threads: int, retries: int) -> Any:
        """The call that submitit queues again: the same one, because the progress is in the run's directory."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run, threads, retries)


@dataclass
class Queue:
    """The ids of the jobs in SLURM's queue, which is queried at most every few seconds.

    squeue works on every cluster. sacct, which submitit uses, works only if SLURM keeps accounts.
    """

    jobs: set[str] = field(default_factory=set)
    asked: float = field(default_factory=time.monotonic)

    def holds(self, job: str) -> bool:
        """Whether a job waits, runs, or is queued again."""
        if time.monotonic() > self.asked + LOOK:
            command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
            answer = subprocess.run(command, capture_output=True, text=True)
            if answer.returncode == 0:  # otherwise SLURM is too busy, and its last answer is kept
                self.jobs = set(answer.stdout.split())
            self.asked = time.monotonic()
        return job in self.jobs


@dataclass(frozen=True)
class SlurmJob:
    """A submitit job, which has ended when it is no longer in SLURM's queue."""

    job: Any
    queue: Queue

    def done(self) -> bool:
        """Whether it has ended."""
        return not self.queue.holds(self.job.job_id)

    def result(self) -> str | None:
        """What went wrong, or None."""
        if not self.job.paths.result_pickle.exists():
            return f"was lost: SLURM ended job {self.job.job_id}, or it was cancelled; see {self.job.paths.stderr}"
        return self.job.result()


@contextmanager
def on_slurm(workers: int | None, retries: int, options: Sequence[str], root: Path) -> Iterator[Start]:
    """A launcher that submits runs as one job array; its jobs go on when the launcher's process ends.

    Args:
        workers: The number of jobs at a time; as many as SLURM has room for if None.
        retries: How often a failed run is tried again.
        options: Options of sbatch, as "partition=gpu"; `cpus_per_task` is also the threads of a run.
        root: Directory of all runs; submitit's files lie in `<root>/.slurm`.

    Raises:
        InputError: If submitit or SLURM is missing, or an option cannot be read or is refused by sbatch.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "--launcher slurm: submitit is not installed: pip install 'teacher-student-lightning[slurm]'"
        ) from error
    missing = [program for program in ("sbatch", "srun", "squeue") if shutil.which(program) is None]
    if missing:
        raise InputError(
            f"--launcher slurm: expected the program {missing[0]}, but this machine does not have it; start the "
            "command on a machine that submits SLURM jobs"
        )
    given = {"time": TIME, "cpus_per_task": 1} | read_options(options)
    threads = given["cpus_per_task"]
    executor = submitit.SlurmExecutor(folder=root / ".slurm", max_num_timeout=10**6)
    own = {key: given.pop(key) for key in set(given) & executor._valid_parameters()}
    srun = ["--cpus-per-task", str(threads)]  # since SLURM 22.05 srun does not take it from sbatch
    executor.update_parameters(
        **{"job_name": "tsl", "array_parallelism": workers or 256, "srun_args": srun} | own, additional_parameters=given
    )
    queue, jobs = Queue(), list[SlurmJob]()

    def start(runs: Sequence[PlannedRun]) -> Sequence[Job]:
        try:
            submitted = executor.map_array(SlurmTraining(), runs, [threads] * len(runs), [retries] * len(runs))
        except submitit.core.utils.FailedJobError as error:
            raise InputError(f"--slurm {' '.join(options)}: sbatch refuses the jobs: {error}") from error
        queue.jobs |= {job.job_id for job in submitted}
        started = [SlurmJob(job, queue) for job in submitted]
        jobs.extend(started)
        return started

    try:
        yield start
    finally:
        if left := sorted({each.job.job_id.partition("_")[0] for each in jobs if not each.done()}):
            print(
                "SLURM continues to train the runs; the same command shows their progress and collects their results. "
                f"To cancel them:\n  scancel {' '.join(left)}",
                file=sys.stderr,
            )


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """The options of sbatch by their names, with underscores.

    Raises:
        InputError: If an option is not OPTION=VALUE, or if its value is not a number although it has to be one.
    """
    read: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        key = key.lstrip("-").replace("-", "_")
        if not (key and equals and value):
            raise InputError(f"--slurm {option}: expected OPTION=VALUE, such as partition=gpu")
        if key in ("time", "cpus_per_task") and not (value.isdigit() and int(value)):
            of = "minutes" if key == "time" else "CPUs"
            raise InputError(f"--slurm {option}: expected a whole number of {of}, such as {key}=8")
        read[key] = int(value) if value.isdigit() else value
    return read
