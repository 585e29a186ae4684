"""Keeps `status.json` in the run's directory while it trains."""

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from tsl.runs.status import COMPLETE, FAILED, RESUMABLE, StatusFile


class RunStatus(pl.Callback):
    """Writes `tsl.runs.status.StatusFile` when the run starts and ends; a fast_dev_run leaves nothing."""

    def __init__(self) -> None:
        self._file: StatusFile | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that this process runs it, and on which device."""
        run = trainer.log_dir  # processes tell each other, so all have to ask
        if trainer.is_global_zero and not trainer.fast_dev_run:
            self._file = StatusFile(run, str(pl_module.device))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that it ended by itself."""
        self._end(COMPLETE)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say that it was told to stop, or what went wrong."""
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            self._end(RESUMABLE)
        else:
            self._end(FAILED, " ".join(f"{type(exception).__name__}: {exception}".split()))

    def _end(self, state: str, error: str | None = None) -> None:
        if self._file is not None:
            self._file.end(state, error)
            self._file = None
