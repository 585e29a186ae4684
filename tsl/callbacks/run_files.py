"""Writes config.yaml, environment and status into the run's directory; a start that fails leaves no trace."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import yaml
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from tsl.callbacks.described import described_run
from tsl.callbacks.run_logger import drop_rows_after
from tsl.errors import InputError
from tsl.modules.steps import StepModule
from tsl.replicates import differing_settings
from tsl.runs import Run
from tsl.runs.records import write_table, written_whole
from tsl.runs.status import COMPLETE, FAILED, RESUMABLE, StatusFile

FILES = ("config.yaml", "status.json", "metrics.csv", "records", "checkpoints")
"""The files and folders that a run writes into its directory."""


class RunFiles(pl.Callback):
    """Writes config.yaml, the table `replicates` and status.json (`tsl.runs.status`), and keeps status.json up to date.

    The module then logs a series of scalars for each group of replicates that have the same settings.

    Nothing is written before the Trainer has made the networks, checked the data and read the checkpoint of a
    resumed run. If a start fails after that, before the first training step, what it wrote is removed. A fast_dev_run
    leaves nothing.

    Args:
        config: The nested settings of the run; those of the live objects if None.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = config
        self._status: StatusFile | None = None
        self._run: Path | None = None
        self._before: set[Path] = set()
        self._wrote = False
        self._is_training = False
        self._replicates = pd.DataFrame()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note which files the directory already has."""
        directory = Path(str(trainer.log_dir))  # log_dir broadcasts, so every process has to read it
        if stage != "fit" or trainer.fast_dev_run:
            return
        self._run, self._wrote, self._is_training = directory, False, False
        places = [directory, *directory.parents, *(directory / name for name in FILES)]
        self._before = {path for path in places if path.exists()}

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

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Write which replicates diverged, if the module froze some."""
        if self._run is not None and trainer.is_global_zero:
            self._write_replicates(self._run, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write that the run is complete."""
        self._end(COMPLETE)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write that the run was stopped, or what went wrong; remove what a failed start wrote."""
        if not self._is_training:
            if trainer.is_global_zero:
                self._remove()
        elif isinstance(exception, KeyboardInterrupt | SIGTERMException):
            self._end(RESUMABLE)
        else:
            self._end(FAILED, " ".join(f"{type(exception).__name__}: {exception}".split()))

    def _write(self, trainer: pl.Trainer, module: StepModule) -> None:
        if self._run is None or self._wrote:
            return
        resumes = trainer.global_step > 0
        if self._run / "config.yaml" in self._before and not resumes:
            raise InputError(
                f"{self._run} already holds a run: choose another version, or resume that run with "
                'trainer.fit(…, ckpt_path=".../checkpoints/last.ckpt")'
            )
        self._wrote = True
        config = self.config or described_run(trainer, module, module.data)
        self._replicates = replicate_settings(config)
        groups = Run(self._run, tables={"replicates": self._replicates}, config=config).groups
        module.replicate_groups = {group.label: group.replicates for group in groups}
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                logger.log_hyperparams(config)
        if trainer.is_global_zero:
            try:
                self._run.mkdir(parents=True, exist_ok=True)
                with written_whole(self._run / "config.yaml") as temporary:
                    temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
                if resumes:
                    drop_rows_after(self._run, trainer.global_step)
                write_table(self._run, "replicates", 0, self._replicates)
                self._write_replicates(self._run, module)
                self._status = StatusFile(self._run, str(module.device))
            except OSError as error:
                raise InputError(
                    f"the run's directory {self._run} cannot be written ({error.strerror}): make it writable, or "
                    "choose another --trainer.default_root_dir"
                ) from error

    def _write_replicates(self, run: Path, module: StepModule) -> None:
        """Write the table `replicates` with a column `diverged`, which makes them a group of their own."""
        diverged = module.diverged.tolist()
        if any(diverged) and self._replicates.get("diverged", pd.Series()).tolist() != diverged:
            self._replicates = self._replicates.assign(diverged=diverged)
            write_table(run, "replicates", 0, self._replicates)

    def _end(self, state: str, error: str | None = None) -> None:
        if self._status is not None:
            self._status.end(state, error)
            self._status = None

    def _remove(self) -> None:
        if not self._wrote or self._run is None:
            return
        self._end(FAILED)
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


def replicate_settings(config: dict[str, Any]) -> pd.DataFrame:
    """The rows of the table `replicates`, from the nested settings of a run."""
    replicates = range(config.get("replicates", 1))
    seeds = [config.get("seed_everything", 0) + replicate for replicate in replicates]
    return pd.DataFrame({"replicate": replicates, "seed": seeds} | differing_settings(config, len(replicates)))
