"""The logger that every run has: metrics.csv in the run's directory, to which a resumed run adds."""

import csv
import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.cloud_io import get_filesystem
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter


class RunLogger(CSVLogger):
    """Lightning's CSV logger, except that a resumed run adds to its metrics.csv instead of deleting it.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of this run; the next free `version_<n>` if None.
    """

    def __init__(self, root: str | os.PathLike[str], experiment: str, version: str | None = None) -> None:
        super().__init__(root, name=experiment, version=version, flush_logs_every_n_steps=1)
        self._experiment: ExperimentWriter | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer behind the logger."""
        if self._experiment is None:
            self._experiment = _AppendingWriter(self.log_dir)
        return self._experiment


class _AppendingWriter(ExperimentWriter):
    """Lightning's writer, except that nothing is touched before something is logged: it makes one at every start."""

    def __init__(self, log_dir: str) -> None:
        self._fs = get_filesystem(log_dir)
        self.log_dir = log_dir
        self.metrics_file_path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        self.metrics: list[dict[str, float]] = []
        self.metrics_keys: list[str] = []
        self.hparams: dict[str, Any] = {}

    def save(self) -> None:
        """Add what was logged to the file."""
        if self.metrics and not self.metrics_keys:
            os.makedirs(self.log_dir, exist_ok=True)
            if os.path.exists(self.metrics_file_path):
                with open(self.metrics_file_path, newline="") as file:
                    self.metrics_keys = next(csv.reader(file), [])
        super().save()


def drop_rows_after(run: Path, step: int) -> None:
    """Remove the rows of metrics.csv later than an optimizer step: a resumed run writes them again."""
    path = run / "metrics.csv"
    if not path.is_file():
        return
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if int(row["step"]) <= step]
    partial = path.with_name(".metrics.csv")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
