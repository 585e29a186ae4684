"""A run to train, part of which may be done already: its directory, its command, and its cost."""

import contextlib
import io
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tsl.errors import InputError
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, WITHOUT_EFFECT, flatten, is_among


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
        last_epoch: Function that returns the last epoch that the run on disk has reached.
        last_file: The file that exists when the run is complete, for a program that does more than train; if None, the
            run is complete at its last epoch.
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
        """The number of epochs that are done."""
        return min(self.last_epoch(Run(self.path)), self.epochs)

    @property
    def cost_left(self) -> float:
        """Time of the epochs that are left, in the unit of `epoch_cost`."""
        return (self.epochs - self.epochs_done) * self.epoch_cost

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
        """The settings in which the existing run differs, among those it has saved and those `given` in the configs."""
        before, now, nothing = flatten(Run(self.path).config), self.settings, "nothing"
        return [
            f"  {key}: {before.get(key, nothing)} in the run, {now.get(key, nothing)} now"
            for key in sorted(before.keys() | given)
            if before.get(key, nothing) != now.get(key, nothing) and not is_among(key, WITHOUT_EFFECT)
        ]


def resolved_config(arguments: Sequence[str]) -> dict[str, Any]:
    """The nested settings that tsl.fit would run with, defaults included; tsl.fit's error ends the program."""
    from tsl.fit import main as fit  # imports torch, which takes seconds and which --help does not need

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
        InputError: If there are such runs; the message names each of them and the settings that differ.
    """
    given = {key for config in configs for key in flatten(yaml.safe_load(config.read_text()))}
    mixed = [
        f"{run.path} was run with other settings:\n" + "\n".join(differences)
        for run in runs
        if (run.path / "config.yaml").exists() and (differences := run.differences(given))
    ]
    if mixed:
        raise InputError("\n".join([*mixed, "Move these runs away, or write the new ones elsewhere with --root"]))
