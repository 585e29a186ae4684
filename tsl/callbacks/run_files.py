"""Writes config.yaml, environment and status into the run's directory, and removes them if the start fails."""

import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import yaml
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.loggers import CSVLogger

from tsl.callbacks.checkpoint_files import WholeCheckpoints
from tsl.callbacks.described import described_run
from tsl.callbacks.run_logger import RunLogger, drop_rows_after
from tsl.callbacks.stop_signals import StopSignals
from tsl.errors import CannotWriteError, InputError
from tsl.format import FORMAT, FORMAT_KEY
from tsl.grid import expanded, seeds_of_run
from tsl.modules.steps import StepModule
from tsl.processes import replicates_of_run
from tsl.replicates import differing_settings, replicate_seeds
from tsl.runs import Run
from tsl.runs.cost import Cost, cost_of
from tsl.runs.directory import check_free
from tsl.runs.records import drop_records_after, write_table
from tsl.runs.status import COMPLETE, FAILED, RESUMABLE, StatusFile
from tsl.runs.whole_files import flush, remove_unfinished, writing, written_whole

FILES = ("config.yaml", "status.json", "metrics.csv", "records", "checkpoints")
"""The files and folders that a run writes into its directory."""


class RunFiles(pl.Callback):
    """Writes config.yaml, the table `replicates` and status.json (`tsl.runs.status`), and keeps status.json up to date.

    The module then logs a series of scalars for each group of replicates that have the same settings.

    Nothing is written before the Trainer has made the networks, checked the data and read the checkpoint of a
    resumed run. If a start fails after that, before the first training step, the files that it wrote are removed. A
    fast_dev_run writes nothing.

    Args:
        config: The nested settings of the run; if None, they are read from the live objects.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = config
        self._status: StatusFile | None = None
        self._run: Path | None = None
        self._before: set[Path] = set()
        self._has_begun = False
        self._is_training = False
        self._replicates = pd.DataFrame()
        self._clock = time.monotonic()
        self._cost_before = Cost()
        self._steps_before = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note which files the directory already has, and write checkpoints whole, unless a plugin writes them."""
        directory = Path(str(trainer.log_dir))  # log_dir broadcasts, so every process has to read it
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpoints()
        if stage != "fit" or trainer.fast_dev_run:
            return
        self._run, self._has_begun, self._is_training = directory, False, False
        places = [directory, *directory.parents, *(directory / name for name in FILES)]
        self._before = {path for path in places if path.exists()}
        self._clock = time.monotonic()

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Write the files, before the records of epoch 0.

        Raises:
            InputError: If the directory already holds a run and this one does not resume it, or it cannot be written.
        """
        self._write(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Write the files of a run that has no evaluation before training."""
        self._write(trainer, pl_module)
        self._is_training = True

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to go on if the directory is gone, before other callbacks make it again."""
        self._check_in_place()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Refuse as in `on_validation_start`, for epochs without evaluation; record replicates that diverged."""
        self._check_in_place()
        if self._run is not None and trainer.is_global_zero:
            self._write_replicates(self._run, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Wait until the records from before the checkpoint are on the disk."""
        checkpoint[FORMAT_KEY] = FORMAT
        if self._status is not None and self._run is not None:
            with writing(self._run):
                for path in (self._run / "metrics.csv", *self._run.glob("records/*"), self._run):
                    if path.exists():
                        flush(path)
                self._status.say(cost=self._cost(trainer)._asdict())

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write that the run is complete, or that it is resumable if `trainer.max_time` has stopped it."""
        if self._status is not None:
            self._status.content["cost"] = self._cost(trainer)._asdict()
        self._end(RESUMABLE if is_out_of_time(trainer) else COMPLETE)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write that the run was stopped, or what went wrong; remove the files of a failed start."""
        signals = [callback for callback in trainer.callbacks if isinstance(callback, StopSignals)]
        # If another process has got the signal and ended, this one may get any exception.
        was_stopped = isinstance(exception, KeyboardInterrupt | SystemExit) or any(each.received for each in signals)
        if not self._is_training and not (was_stopped and self._has_begun):
            self._remove()
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.experiment.metrics.clear()  # Lightning would write them, into a directory that is gone
        elif was_stopped or isinstance(exception, CannotWriteError):
            self._end(RESUMABLE)
        else:
            self._end(FAILED, " ".join(f"{type(exception).__name__}: {exception}".split()))

    def _check_in_place(self) -> None:
        if self._status is not None and not self._status.is_in_place:
            self._status.release()
            self._status = None
            raise InputError(
                f"the run's directory {self._run} was removed or moved while the run was writing to it: start it again"
            )

    def _write(self, trainer: pl.Trainer, module: StepModule) -> None:
        if self._run is None or self._has_begun:
            return
        self._claim(trainer)
        config = self.config or described_run(trainer, module, module.data)
        self._replicates = replicate_settings(config)
        groups = Run(self._run, tables={"replicates": self._replicates}, config=config).groups
        module.replicate_groups = {group.label: group.replicates for group in groups}
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                logger.log_hyperparams(config)
        self._has_begun = True
        if self._status is None:
            return
        self._drop_what_is_written_again(trainer)
        with written_whole(self._run / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
        write_table(self._run, "replicates", 0, self._replicates)
        self._write_replicates(self._run, module)
        self._steps_before = trainer.global_step
        self._cost_before = (trainer.global_step > 0 and cost_of(self._run)) or Cost()
        self._status.begin(str(module.device), self._cost_before._asdict())

    def _cost(self, trainer: pl.Trainer) -> Cost:
        """The cost of the run up to now."""
        steps = (trainer.global_step - self._steps_before) * replicates_of_run(trainer)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self._cost_before.plus(Cost(time.monotonic() - self._clock, steps, peak))

    def _claim(self, trainer: pl.Trainer) -> None:
        """Lock the directory, in one process for all, without changing its files."""
        assert self._run is not None
        refused: InputError | None = None
        if trainer.is_global_zero:
            try:
                with writing(self._run):
                    self._status = StatusFile(self._run)
                if trainer.global_step == 0:
                    check_free(self._run)
            except InputError as error:
                refused = error
        words = trainer.strategy.broadcast(None if refused is None else str(refused))
        if words is not None:
            raise refused or InputError(words)

    def _drop_what_is_written_again(self, trainer: pl.Trainer) -> None:
        """Remove records after the checkpoint, or all of them if the run was stopped before its first checkpoint."""
        assert self._run is not None
        remove_unfinished(self._run)
        if trainer.global_step > 0:
            drop_rows_after(self._run, trainer.global_step)
            drop_records_after(self._run, trainer.fit_loop.epoch_progress.current.processed)
        else:
            (self._run / "metrics.csv").unlink(missing_ok=True)
            drop_records_after(self._run, -1)

    def _write_replicates(self, run: Path, module: StepModule) -> None:
        """Write the table `replicates` with a column `diverged`, so that diverged replicates are a separate group."""
        diverged = module.diverged.tolist()
        if any(diverged) and self._replicates.get("diverged", pd.Series()).tolist() != diverged:
            self._replicates = self._replicates.assign(diverged=diverged)
            write_table(run, "replicates", 0, self._replicates)

    def _end(self, state: str, error: str | None = None) -> None:
        if self._status is not None:
            self._status.end(state, error)
            self._status = None

    def _remove(self) -> None:
        if self._status is None or self._run is None:
            return
        self._status.release()
        self._status = None
        for path in {self._run / name for name in FILES} - self._before:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
        for directory in (self._run, *self._run.parents):
            if directory in self._before or (directory.exists() and any(directory.iterdir())):
                return
            if directory.exists():
                directory.rmdir()


def is_out_of_time(trainer: pl.Trainer) -> bool:
    """Whether `trainer.max_time` has stopped a run."""
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]
    left = [timer.time_remaining() for timer in timers]
    return trainer.current_epoch != trainer.max_epochs and any(seconds is not None and seconds <= 0 for seconds in left)


def replicate_settings(config: dict[str, Any]) -> pd.DataFrame:
    """The rows of the table `replicates`, from the nested settings of a run."""
    count = config.get("replicates", 1)
    named = {"replicate": range(count), "seed": replicate_seeds(seeds_of_run(config), count)}
    return pd.DataFrame(named | differing_settings(expanded(config), count))
