"""Whether a run is still running, and how it ended: `<run>/status.json`, which its process keeps locked.

The lock ends with the process, however that dies, so a file with the state "running" that is not locked belongs to a
run that was killed. Other machines see the lock if the file system shares locks (NFS 4 does).
"""

import contextlib
import json
import os
import platform
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tsl.runs.environment import environment
from tsl.runs.records import recorded_epochs, written_whole

NAME = "status.json"

RUNNING, COMPLETE, FAILED, RESUMABLE = STATES = ("running", "complete", "failed", "resumable")


class StatusFile:
    """Writes which process runs the run, on what and since when, and later how it ended.

    Args:
        run: The run's directory; made if it does not exist.
        device: The device that it computes on, in torch's spelling.
    """

    def __init__(self, run: Path | str, device: str) -> None:
        self.path = Path(run) / NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.content: dict[str, Any] = {
            "state": RUNNING,
            "started": _now(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": machine(),
            "device": device,
            "environment": environment(),
        }
        self._locked = self._write()

    def end(self, state: str, error: str | None = None) -> None:
        """Write how the run ended, and release the file.

        Args:
            state: One of `STATES`: "complete", "failed", or "resumable" if it was stopped.
            error: What went wrong.
        """
        self.content |= {"state": state, "ended": _now()} | ({"error": error} if error else {})
        before, self._locked = self._locked, self._write()
        before.close()
        self._locked.close()

    def _write(self) -> TextIO:
        with written_whole(self.path) as temporary:
            file = temporary.open("w", encoding="utf-8")
            _lock(file)  # before others can read it; a renamed file stays locked
            json.dump(self.content, file, indent=1)
            file.flush()
        return file


def read_status(run: Path | str) -> dict[str, Any]:
    """The content of a run's `status.json`; empty if it is damaged or missing, as in runs of older versions."""
    try:
        content = json.loads((Path(run) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def run_state(run: Path | str, max_epochs: Any) -> str:
    """One of `STATES`.

    A run without `status.json` is complete if its records reach `max_epochs`. One that is not running and not complete
    can be resumed if it left a checkpoint, and failed if not.

    Args:
        run: The run's directory.
        max_epochs: Its `trainer.max_epochs`.
    """
    state = read_status(run).get("state")
    if state in (COMPLETE, FAILED):
        return str(state)
    if state == RUNNING and _is_locked(Path(run) / NAME):
        return RUNNING
    is_older = state is None and isinstance(max_epochs, int) and max_epochs >= 0
    if is_older and recorded_epochs(run, "losses")[-1:] >= [max_epochs]:
        return COMPLETE
    return RESUMABLE if any((Path(run) / "checkpoints").glob("*.ckpt")) else FAILED


def machine() -> str:
    """What kind of machine this is, in words."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_locked(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open(encoding="utf-8") as file:
        return not _lock(file, shared=True)
    return False


def _lock(file: TextIO, shared: bool = False) -> bool:
    """Whether the file could be locked, or there are no locks here."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
