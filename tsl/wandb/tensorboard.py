"""The pictures of W&B's board in TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.wandb.pictures import is_recorded as table_is_recorded
from tsl.wandb.pictures import pictures


class TensorBoardPictures(pl.Callback):
    """Adds the L-shape, and heat map and trajectories if `records.pairs` is true, to TensorBoard's loggers.

    They are drawn from records: before training, whenever the number of epochs has doubled, and after the last epoch
    whose nodes are recorded.
    """

    def __init__(self) -> None:
        self.shown: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw this epoch, if it is due."""
        directory, epoch = trainer.log_dir, evaluated_epoch(trainer)  # log_dir broadcasts: every process has to read it
        due = self.shown is None or epoch >= 2 * self.shown or epoch == trainer.max_epochs
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not (loggers and due and is_recorded(trainer) and trainer.is_global_zero):
            return
        if self.shown != epoch and table_is_recorded(Path(str(directory)), "student_nodes", epoch):
            self.shown = epoch
            for name, picture in pictures(Path(str(directory)), epoch).items():
                for logger in loggers:
                    pixels = np.asarray(picture.image.convert("RGB"))
                    logger.experiment.add_image(name, pixels, trainer.global_step, dataformats="HWC")

    def state_dict(self) -> dict[str, Any]:
        """The last epoch drawn."""
        return {"shown": self.shown}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the last epoch drawn from `state_dict`."""
        self.shown = state_dict["shown"]
