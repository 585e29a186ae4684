"""The progress of a run: one bar for the whole run on a terminal, plain lines elsewhere."""

import math
import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from tsl.names import TRAIN_LOSS, VAL_LOSS, specialization_scalar
from tsl.processes import replicates_of_run

SHOWN = {
    TRAIN_LOSS: "train loss {:.3g}",
    VAL_LOSS: "val loss {:.3g}",
    specialization_scalar(1, "rho_mean"): "ρ_mean {:.3f}",
}
"""The logged scalars that are shown; ρ_mean is that of the lowest layer."""

BETWEEN_EPOCHS, WITHIN_EPOCH = 5.0, 60.0
"""The least seconds between two lines, at the end of an epoch and within an epoch."""


class RunProgress(ProgressBar):
    """Shows epoch, losses, ρ_mean of the lowest layer, student-steps per second and the time left for the whole run.

    Student-steps are optimizer steps × replicates. Their rate counts the time of training alone, and the time left
    includes evaluation. If stdout is not a terminal, a line is written after an epoch, at most every 5 seconds, and
    every minute within an epoch. The display is updated once for a chunk of optimizer steps.

    Args:
        console: Where to write; stdout if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console
        self.enabled = True
        self.clock = Clock()
        self._scalars: dict[str, float] = {}
        self._progress: Progress | None = None
        self._last_line = -math.inf

    def disable(self) -> None:
        """Show nothing."""
        self.enabled = False

    def enable(self) -> None:
        """Show everything again."""
        self.enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and the bar if there is a terminal."""
        self.clock = Clock()
        self.clock.start(fraction_done(trainer), trainer.global_step)
        self.console = self.console or Console(soft_wrap=True)
        if self.enabled and self.console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[shown]}")
            self._progress = Progress(*columns, console=self.console, expand=True, refresh_per_second=4)
            self._progress.add_task("", total=1.0, shown="")
            self._progress.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the results of the epoch before, when all of them have been logged."""
        self._show(trainer, BETWEEN_EPOCHS)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Tensor, batch_idx: int
    ) -> None:
        """Show the progress after each chunk."""
        within = (batch_idx + 1) / trainer.num_training_batches
        if within < 1 or self._progress is not None:  # an epoch gets its line when all of it has been logged
            self._show(trainer, WITHIN_EPOCH, within)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of training."""
        self.clock.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restart the clock of training; read what was logged before training."""
        self.clock.go_on()
        self._read(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the results of the last epoch."""
        self._show(trainer, 0.0)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop the bar, and leave it on the screen."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar, so that the message is printed below it."""
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _read(self, trainer: pl.Trainer) -> None:
        logged = trainer.callback_metrics
        self._scalars |= {name: float(logged[name]) for name in SHOWN if name in logged}

    def _show(self, trainer: pl.Trainer, seconds: float, within: float = 0.0) -> None:
        """Show the progress; as a line only if the last one is at least `seconds` old."""
        now = time.monotonic()
        if not self.enabled or (self._progress is None and now - self._last_line < seconds):
            return
        if not within:
            self._read(trainer)
        done = fraction_done(trainer, within * self.clock.training_share())
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs not in (None, -1) else ""
        epoch = f"epoch {trainer.current_epoch + bool(within)}{epochs}"
        shown = [words.format(self._scalars[name]) for name, words in SHOWN.items() if name in self._scalars]
        settings = len(getattr(trainer.lightning_module, "replicate_groups", ()))
        if shown and settings > 1:
            shown[-1] += f" (mean over {settings} settings)"
        rate = self.clock.steps_per_second(trainer.global_step)
        if rate is not None:
            shown.append(f"{rate * replicates_of_run(trainer):,.0f} student-steps/s")
        left = self.clock.seconds_left(done)
        if left is not None and done < 1:
            shown.append(f"{in_hours(left)} left")
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, description=epoch, shown="  ".join(shown))
        else:
            self._last_line = now
            share = f" ({done:.0%})" if within else ""
            assert self.console is not None
            self.console.print(", ".join([f"{epoch}{share}", *shown]), highlight=False, markup=False)


class Clock:
    """Measures the seconds of training and of evaluation, and estimates the time left."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.trained = 0.0
        self.since: float | None = None
        self.first_fraction = 0.0
        self.first_step = 0

    def start(self, fraction: float, step: int) -> None:
        """Begin at a fraction of the run, and at an optimizer step."""
        self.begun = self.since = time.monotonic()
        self.first_fraction, self.first_step = fraction, step

    def pause(self) -> None:
        """Training stops for an evaluation."""
        if self.since is not None:
            self.trained += time.monotonic() - self.since
            self.since = None

    def go_on(self) -> None:
        """Training continues after an evaluation."""
        self.since = time.monotonic()

    def steps_per_second(self, step: int) -> float | None:
        """Optimizer steps per second of training; None before the first step."""
        trained = self._seconds_trained()
        return (step - self.first_step) / trained if step > self.first_step and trained > 0 else None

    def training_share(self) -> float:
        """The share of the time that went into training, not evaluation."""
        elapsed = time.monotonic() - self.begun
        return self._seconds_trained() / elapsed if elapsed > 0 else 1.0

    def seconds_left(self, fraction: float) -> float | None:
        """Estimated seconds until the end of the run, evaluation included; None before there is an estimate."""
        elapsed = time.monotonic() - self.begun
        done = fraction - self.first_fraction
        return elapsed * (1 - fraction) / done if done > 0 else None

    def _seconds_trained(self) -> float:
        return self.trained + (0.0 if self.since is None else time.monotonic() - self.since)


def fraction_done(trainer: pl.Trainer, within: float = 0.0) -> float:
    """The fraction of a run that is done; 0 if neither its epochs nor its steps are limited.

    Args:
        trainer: The run's Trainer.
        within: The fraction of the current epoch that is done.
    """
    by_epochs = (trainer.current_epoch + within) / trainer.max_epochs if (trainer.max_epochs or -1) > 0 else 0.0
    by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
    return min(1.0, max(by_epochs, by_steps))


def in_hours(seconds: float) -> str:
    """A time such as 0:01:05, in hours, minutes and seconds.

    >>> in_hours(3665.2)
    '1:01:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
