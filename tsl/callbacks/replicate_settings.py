"""Writes what differs between the replicates of a run, when it starts."""

from typing import Any

import pandas as pd
import pytorch_lightning as pl

from tsl.replicates import differing_settings
from tsl.runs import Run
from tsl.runs.records import write_table


class ReplicateSettings(pl.Callback):
    """Writes the table `replicates`: replicate, seed, and every setting that differs, from the run's config.yaml."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table; a fast_dev_run leaves nothing."""
        directory = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        if trainer.is_global_zero and not trainer.fast_dev_run:
            write_table(directory, "replicates", 0, replicate_settings(Run(directory).config))


def replicate_settings(config: dict[str, Any]) -> pd.DataFrame:
    """The rows of the table `replicates`, from the nested settings of a run."""
    replicates = range(config.get("replicates", 1))
    seeds = [config.get("seed_everything", 0) + replicate for replicate in replicates]
    return pd.DataFrame({"replicate": replicates, "seed": seeds} | differing_settings(config, len(replicates)))
