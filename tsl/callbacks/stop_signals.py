"""Signals that stop a run of `tsl.fit`: the run stays resumable, and the exit status is the one that shells expect."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from tsl.runs.directory import command_to_resume

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""The signals of Ctrl-C, of a job's end, of a closed terminal, and of clusters that announce a job's end."""


class Stopped(SystemExit):
    """A signal has stopped the process; the exit status is 128 plus its number."""

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(128 + received)


class StopSignals(pl.Callback):
    """Raises `Stopped` at the first of the `SIGNALS`, and describes the command that resumes the run.

    It is a context manager: the handlers are in place within its block. The run's files are whole at any moment, so it
    can stop at once. Further signals change nothing, except that a second SIGINT kills the process.

    Attributes:
        received: The first signal.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._run: Path | None = None
        self._launcher: Any = None
        self._parent = os.getppid()  # kept, because another process becomes the parent when this one ends

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            handlers = {each: signal.getsignal(each) for each in SIGNALS}
            # nohup, and shells that start a process in the background, set some signals to be ignored; that stays
            self._before = {each: handler for each, handler in handlers.items() if handler != signal.SIG_IGN}
        self._install()
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the run's directory, and the launcher of the processes that this one has started."""
        self._run = Path(str(trainer.log_dir))  # log_dir broadcasts, so every process has to read it
        self._launcher = trainer.strategy.launcher

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back from Lightning, whose handler waits for the other processes."""
        self._install()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back, for runs without an evaluation before training."""
        self._install()

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop now, if Python has swallowed the exception."""
        self._stop()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Stop now, if Python has swallowed the exception."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the processes that this one has started."""
        if self.received is not None and self._launcher is not None:
            self._launcher.kill(signal.SIGTERM)

    def describe(self) -> str:
        """A sentence on what stopped the process, with the command that resumes the run."""
        assert self.received is not None
        if self._run is None or not (self._run / "config.yaml").exists():
            return f"stopped by {self.received.name} before anything was written: the same command starts the run"
        return f"stopped by {self.received.name}; to go on: {command_to_resume(self._run)}"

    def _install(self) -> None:
        for each in self._before:
            signal.signal(each, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if number == self.received == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.raise_signal(signal.SIGINT)
            return
        self.received = signal.Signals(number)
        if os.environ.get("LOCAL_RANK", "0") != "0" and os.getppid() == self._parent:
            os.kill(self._parent, signal.SIGTERM)  # otherwise the parent would wait for this process
        if sys.exception() is None:  # otherwise a process whose peer has ended could not write its state
            self._stop()

    def _stop(self) -> None:
        if self.received is not None:
            raise Stopped(self.received)
