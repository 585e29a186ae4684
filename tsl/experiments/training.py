"""Train one planned run in a process of its own; every launcher does this, on whichever machine."""

import ctypes
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from threading import Event

from tsl.experiments.planned_run import PlannedRun

ELSEWHERE = "is being trained by another process"
"""What `train` returns for a run that another process trains; the run has not failed."""

INTERRUPTED = "was stopped, and the same command continues it"
"""What `train` returns for a run that was stopped."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STOPPED = {status for each in _STOP_SIGNALS for status in (128 + each, -each)}
"""Exit statuses of a process that was stopped, for example by SLURM; it has not failed, and is not tried again."""

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends


def train(run: PlannedRun, threads: int, retries: int = 0, stop: Event | None = None) -> str | None:
    """Train the rest of a run in a process that writes to `<run>.log`.

    A complete run is not repeated, and an interrupted one goes on from its checkpoint. If several processes start the
    same run at once, only one trains it; they may be on different machines that share the file system and its locks.

    Args:
        run: The run.
        threads: The number of threads for computing.
        retries: How often to try again if it fails; each time it goes on from its last checkpoint.
        stop: Ends the process when it is set.

    Returns:
        What went wrong, or None.
    """
    run.path.parent.mkdir(parents=True, exist_ok=True)
    with log_path(run).open("a") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by the child too, even if it outlives this process
        except BlockingIOError:
            return ELSEWHERE
        for _ in range(retries + 1):
            if run.complete:
                return None
            _clear(run)
            print(f"$ {shlex.join(run.command())}", file=log, flush=True)
            status = _run_command(run, threads, stop or Event(), log.fileno())
            _clear(run)
            if status == 0 and run.complete:
                return None
            if (stop is not None and stop.is_set()) or status in STOPPED:
                return INTERRUPTED
    with log_path(run).open(errors="replace") as written:
        lines = "".join(f"  {line.rstrip()}\n" for line in deque(written, maxlen=15))
    return (
        f"ended with status {status} after {run.epochs_done} of {run.epochs} epochs. "
        f"The end of {log_path(run)}:\n{lines}Repeat this run alone:\n  {shlex.join(run.command())}"
    )


def is_at_work(run: PlannedRun) -> bool:
    """Whether a process trains the run now."""
    with log_path(run).open("a") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def log_path(run: PlannedRun) -> Path:
    """The file that a run's output is written to, which is locked while it is trained."""
    return run.path.with_name(f"{run.path.name}.log")


def _run_command(run: PlannedRun, threads: int, stop: Event, log: int) -> int:
    """Run the command of a run to its end, or until `stop` is set, and return its exit status."""
    # SLURM's variables describe the whole job, in which a run is one process; Lightning would take them for the run's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    environment["OMP_NUM_THREADS"] = str(threads)
    child = subprocess.Popen(
        run.command(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    try:
        while child.poll() is None and not stop.wait(0.1):
            pass
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()  # no file is lost: checkpoints and records are written whole
            child.wait()
    return child.returncode


def _end_with_parent() -> None:
    """In a new process: let Linux stop it when its parent is killed; Ray kills workers if memory runs out."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _clear(run: PlannedRun) -> None:
    """Remove an unfinished run without a checkpoint, because tsl.fit refuses to start in its directory."""
    if run.path.exists() and not run.complete and "--ckpt_path" not in run.command():
        shutil.rmtree(run.path)
