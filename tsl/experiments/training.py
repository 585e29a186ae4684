"""Train one planned run, in a process of its own: what every launcher does with a run, wherever it does it."""

import fcntl
import os
import shlex
import shutil
import subprocess
from collections import deque
from pathlib import Path
from threading import Event

from tsl.experiments.planned_run import PlannedRun

ELSEWHERE = "it is being trained by another process"
"""What `train` gives for such a run: it has not failed, and may end well."""

INTERRUPTED = "it was stopped, and the same command continues it"


def train(run: PlannedRun, threads: int, retries: int = 0, stop: Event | None = None) -> str | None:
    """Train the rest of a run in a process that writes to `<run>.log`.

    A complete run is not repeated, and an interrupted one goes on from its checkpoint. Of several processes that train
    the same run at once, on any machine that shares the file system and its locks, one does.

    Args:
        run: The run.
        threads: Threads that it computes with.
        retries: How often to try again where it fails; each time it goes on from its last checkpoint.
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
            if stop is not None and stop.is_set():
                return INTERRUPTED
    with log_path(run).open(errors="replace") as written:
        lines = "".join(f"  {line.rstrip()}\n" for line in deque(written, maxlen=15))
    return (
        f"{run.path} ended with status {status} after {run.epochs_done} of {run.epochs} epochs. "
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
    """Run its command to the end, or until `stop` is set; gives its exit status."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    child = subprocess.Popen(
        run.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
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


def _clear(run: PlannedRun) -> None:
    """Remove an unfinished run without a checkpoint, because tsl.fit refuses to start in its directory."""
    if run.path.exists() and not run.complete and "--ckpt_path" not in run.command():
        shutil.rmtree(run.path)
