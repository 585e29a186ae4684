"""Many runs of tsl.fit, each for one cell of a sweep, in a process of its own.

A run that is complete is not repeated, and an interrupted one is resumed from its checkpoint.
"""

import contextlib
import fcntl
import io
import shlex
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tsl.errors import InputError
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, WITHOUT_EFFECT, flatten, in_words, is_among


def last_recorded_epoch(run: Run) -> int:
    """The last epoch whose losses are recorded; 0 if there is none."""
    return max(run.recorded_epochs("losses"), default=0)


@dataclass(frozen=True)
class PlannedRun:
    """A run to train; its directory may already hold part of it, or all.

    Args:
        cell: The value of each axis of the sweep.
        path: Its directory.
        arguments: The command line that starts it, without Python: a module and its arguments.
        settings: All its settings by their dotted names.
        last_epoch: Gives the last epoch that it has got to.
        last_file: The file that is there when it is complete, for a program that does more than train; if None, the
            last epoch says so.
        resumes: Whether `--ckpt_path last` resumes it from its checkpoint.
    """

    cell: Mapping[str, float | str]
    path: Path
    arguments: list[str]
    settings: dict[str, Any]
    last_epoch: Callable[[Run], int] = last_recorded_epoch
    last_file: str | None = None
    resumes: bool = True

    @property
    def epochs(self) -> int:
        """The planned number of epochs."""
        return self.settings["trainer.max_epochs"]

    @property
    def epochs_done(self) -> int:
        """The epochs done."""
        return min(self.last_epoch(Run(self.path)), self.epochs)

    @property
    def complete(self) -> bool:
        """Whether all of it is done."""
        return self.epochs_done == self.epochs if self.last_file is None else (self.path / self.last_file).exists()

    @property
    def student_steps(self) -> int:
        """Optimizer steps × replicates in an epoch."""
        data = {key.removeprefix("data.init_args."): value for key, value in self.settings.items()}
        steps = data["steps_per_epoch"] or np.min(data["train_size"]) // data["batch_size"]
        return self.settings["replicates"] * int(steps)

    @property
    def epoch_cost(self) -> float:
        """Time of an epoch, in a unit that all runs share: measured, a step takes about 1 + 2 × multiplier."""
        return self.student_steps * (1 + 2 * (self.settings.get(MULTIPLIER) or 0))

    def command(self) -> list[str]:
        """The command that trains it, from the start or from its checkpoint."""
        resume = self.resumes and (self.path / "checkpoints/last.ckpt").exists()
        return [sys.executable, "-m", *self.arguments, *(["--ckpt_path", "last"] if resume else [])]

    def differences(self, given: set[str]) -> list[str]:
        """The settings in which the run that is there differs: of those it knows, and those `given` in the configs."""
        before, now, nothing = Run(self.path).settings, self.settings, "nothing"
        return [
            f"  {key}: {before.get(key, nothing)} in the run, {now.get(key, nothing)} now"
            for key in sorted(before.keys() | given)
            if before.get(key, nothing) != now.get(key, nothing) and not is_among(key, WITHOUT_EFFECT)
        ]


def cell_name(cell: Mapping[str, float | str]) -> str:
    """The name of a cell and its run: `multiplier=2,polarity=1`."""
    return ",".join(f"{axis}={in_words(value)}" for axis, value in sorted(cell.items()))


def resolved_config(arguments: Sequence[str]) -> dict[str, Any]:
    """The nested settings that tsl.fit would run with, defaults included; ends with its message if they are wrong."""
    from tsl.fit import main as fit  # imports torch, which takes seconds that --help need not wait for

    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            fit([*arguments, "--print_config"])
    except SystemExit as end:
        if end.code:
            raise
    return yaml.safe_load(text.getvalue())


def check_settings(runs: Sequence[PlannedRun], configs: Collection[Path]) -> None:
    """Refuse runs that were made with other settings than the configs give now.

    Raises:
        InputError: Naming each such run and the settings that differ.
    """
    given = {key for config in configs for key in flatten(yaml.safe_load(config.read_text()))}
    mixed = [
        f"{run.path} was run with other settings:\n" + "\n".join(differences)
        for run in runs
        if (run.path / "config.yaml").exists() and (differences := run.differences(given))
    ]
    if mixed:
        raise InputError("\n".join([*mixed, "Move these runs away, or write the new ones elsewhere with --root"]))


def train(run: PlannedRun, report: Callable[[], None]) -> str | None:
    """Train the rest of a run, in a process of its own that writes to `<run>.log`.

    Args:
        run: The run.
        report: Called twice a second, and at the end.

    Returns:
        What went wrong, or None.
    """
    run.path.parent.mkdir(parents=True, exist_ok=True)
    log_path = run.path.with_name(f"{run.path.name}.log")
    with log_path.open("a") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by the child too, even if it outlives this process
        except BlockingIOError:
            return f"{run.path} is being trained by another process; give the same command again when it has ended"
        if run.complete:
            return None
        _clear(run)
        print(f"$ {shlex.join(run.command())}", file=log, flush=True)
        child = subprocess.Popen(run.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                report()
                time.sleep(0.5)
        finally:
            child.terminate()
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()  # no file is lost: checkpoints and records are written whole
                child.wait()
            _clear(run)
    report()
    if child.returncode == 0 and run.complete:
        return None
    with log_path.open(errors="replace") as log:
        lines = "".join(f"  {line.rstrip()}\n" for line in deque(log, maxlen=15))
    return (
        f"{run.path} ended with status {child.returncode} after {run.epochs_done} of {run.epochs} epochs. "
        f"The end of {log_path}:\n{lines}Repeat this run alone:\n  {shlex.join(run.command())}"
    )


def _clear(run: PlannedRun) -> None:
    """Remove an unfinished run without a checkpoint, because tsl.fit refuses to start in its directory."""
    if run.path.exists() and not run.complete and "--ckpt_path" not in run.command():
        shutil.rmtree(run.path)
