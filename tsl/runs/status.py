"""Whether a run is still running, and how it ended: `<run>/status.json`, which its process keeps locked.

The lock ends with the process, however the process ends. So a file with the state "running" that is not locked belongs
to a run that was killed. Other machines see the lock if the file system shares locks (NFS 4 does).
"""

import contextlib
import json
import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tsl.errors import CannotWriteError, InputError
from tsl.format import FORMAT, FORMAT_KEY
from tsl.runs.environment import environment
from tsl.runs.records import recorded_epochs
from tsl.runs.whole_files import written_whole

NAME = "status.json"

RUNNING, COMPLETE, FAILED, RESUMABLE = STATES = ("running", "complete", "failed", "resumable")


class StatusFile:
    """The file about the process that runs a run, its device and start, and later its end; locked while it runs.

    Args:
        run: The run's directory, which is made if it does not exist.

    Raises:
        InputError: If another process runs the run.
    """

    def __init__(self, run: Path | str) -> None:
        self.path = Path(run) / NAME
        self.content: dict[str, Any] = {}
        self._locked = self._claim()

    def _claim(self) -> TextIO:
        """Lock the file, or an empty one in its place, without changing it."""
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a", encoding="utf-8")
            if not _lock(file):
                file.close()
                check_not_running(self.path.parent)
            elif _is_open_at(file, self.path):
                return file
            file.close()  # another process has replaced the file, or was refused and removed it

    def begin(self, device: str, cost: Mapping[str, Any] | None = None) -> "StatusFile":
        """Write that the run is running.

        Args:
            device: The device that it computes on, in torch's spelling.
            cost: Its cost before it was resumed (`tsl.runs.cost`).
        """
        self.content = {
            "state": RUNNING,
            FORMAT_KEY: FORMAT,
            "started": _now(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": machine(),
            "device": device,
            "environment": environment(),
        } | ({} if cost is None else {"cost": dict(cost)})
        self._write()
        return self

    def end(self, state: str, error: str | None = None) -> None:
        """Write how the run ended, and release the file.

        Args:
            state: One of `STATES`: "complete", "failed", or "resumable" if it was stopped.
            error: What went wrong.
        """
        self.content |= {"state": state, "ended": _now()} | ({"error": error} if error else {})
        with contextlib.suppress(CannotWriteError):  # the state stays "running" without a lock: resumable
            self._write()
        self.release()

    def say(self, **entries: Any) -> None:
        """Write further entries."""
        self.content |= entries
        self._write()

    def release(self) -> None:
        """Unlock the file."""
        self._locked.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the file is still where it was written, so the run's directory was not removed or moved."""
        return _is_open_at(self._locked, self.path)

    def _write(self) -> None:
        with contextlib.ExitStack() as opened:
            with written_whole(self.path) as temporary:
                temporary.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
                file = opened.enter_context(temporary.open("a", encoding="utf-8"))
                _lock(file)  # before others can read it; a renamed file stays locked
            before, self._locked = self._locked, file
            before.close()
            opened.pop_all()  # it stays open, because closing would unlock it


def read_status(run: Path | str) -> dict[str, Any]:
    """The content of a run's `status.json`; empty if it is damaged or missing, as in runs of older versions."""
    try:
        content = json.loads((Path(run) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def is_running(run: Path | str) -> bool:
    """Whether a process runs the run, and so has locked its status.json."""
    with contextlib.suppress(OSError), (Path(run) / NAME).open(encoding="utf-8") as file:
        return not _lock(file, shared=True)
    return False


def check_not_running(run: Path | str) -> None:
    """Refuse a run that another process runs.

    Raises:
        InputError: If another process runs it.
    """
    if is_running(run):
        status = read_status(run)
        raise InputError(
            f"{run} is running, in process {status.get('pid', 'unknown')} on {status.get('host', 'an unknown host')}: "
            "wait until it ends, or stop it, or choose another version"
        )


def run_state(run: Path | str, max_epochs: Any) -> str:
    """The state of a run, one of `STATES`.

    A run without `status.json` is complete if its records reach `max_epochs`. A run that was stopped or killed is
    resumable, from its last checkpoint, or from the beginning if it has none yet. A run without `status.json` and
    without a checkpoint is failed.

    Args:
        run: The run's directory.
        max_epochs: Its `trainer.max_epochs`.
    """
    state = read_status(run).get("state")
    if state in (COMPLETE, FAILED):
        return str(state)
    if state == RUNNING and is_running(run):
        return RUNNING
    if state in (RUNNING, RESUMABLE):
        return RESUMABLE
    if isinstance(max_epochs, int) and max_epochs >= 0 and recorded_epochs(run, "losses")[-1:] >= [max_epochs]:
        return COMPLETE
    return RESUMABLE if any((Path(run) / "checkpoints").glob("*.ckpt")) else FAILED


def machine() -> str:
    """The operating system, processor type and number of cores of this machine, in words."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_open_at(file: TextIO, path: Path) -> bool:
    """Whether an open file is the file at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _lock(file: TextIO, shared: bool = False) -> bool:
    """Lock a file; returns whether it is locked now, or the system has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
