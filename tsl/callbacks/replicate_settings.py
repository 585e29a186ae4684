"""Writes what differs between the replicates of a run, when it starts, and tells the module."""

from typing import Any

import pandas as pd
import pytorch_lightning as pl

from tsl.modules.steps import StepModule
from tsl.replicates import differing_settings
from tsl.runs import Run
from tsl.runs.records import write_table


class ReplicateSettings(pl.Callback):
    """Writes the table `replicates`: replicate, seed, and every setting that differs, from the run's config.yaml.

    The module then logs a series of scalars for each group of replicates that have the same settings.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table and tell the module; a fast_dev_run leaves nothing."""
        directory = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        if trainer.is_global_zero and not trainer.fast_dev_run:
            write_table(directory, "replicates", 0, replicate_settings(Run(directory).config))
            if isinstance(pl_module, StepModule):
                pl_module.replicate_groups = {group.label: group.replicates for group in Run(directory).groups}


def replicate_settings(config: dict[str, Any]) -> pd.DataFrame:
    """The rows of the table `replicates`, from the nested settings of a run."""
    replicates = range(config.get("replicates", 1))
    seeds = [config.get("seed_everything", 0) + replicate for replicate in replicates]
    return pd.DataFrame({"replicate": replicates, "seed": seeds} | differing_settings(config, len(replicates)))
