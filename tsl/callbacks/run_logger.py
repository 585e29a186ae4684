"""The logger that every run has: metrics.csv in the run's directory, to which a resumed run adds."""

import csv
import os
from pathlib import Path

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter


class RunLogger(CSVLogger):
    """Lightning's CSV logger, except that a resumed run adds to its metrics.csv instead of deleting it.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of this run; the next free `version_<n>` where None.

    Attributes:
        resumed_step: Optimizer step at which a run goes on, which `tsl.callbacks.RunFiles` sets; later rows are
            dropped, as it writes them again. Nothing is touched before something is logged.
    """

    def __init__(self, root: str | os.PathLike[str], experiment: str, version: str | None = None) -> None:
        super().__init__(root, name=experiment, version=version, flush_logs_every_n_steps=1)
        self.resumed_step: int | None = None
        self._experiment: ExperimentWriter | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer behind the logger."""
        if self._experiment is None:
            if self.resumed_step is not None:
                drop_rows_after(Path(self.log_dir), self.resumed_step)
            self._experiment = _AppendingWriter(self.log_dir)
        return self._experiment

    def save(self) -> None:
        """Write what was logged; nothing, and no directory, if nothing was."""
        if self._experiment is not None:
            super().save()


class _AppendingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        if os.path.exists(self.metrics_file_path):
            with open(self.metrics_file_path, newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


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
