"""The logger that every run has: it writes metrics.csv in the run's directory, and a resumed run appends to it."""

import csv
import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.cloud_io import get_filesystem
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from tsl.runs.whole_files import writing, written_whole


class RunLogger(CSVLogger):
    """Lightning's CSV logger, except that a resumed run appends to its metrics.csv instead of deleting it.

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
    """Lightning's writer, except that it makes no file before something is logged; Lightning's does at every start."""

    def __init__(self, log_dir: str) -> None:
        self._fs = get_filesystem(log_dir)
        self.log_dir = log_dir
        self.metrics_file_path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        self.metrics: list[dict[str, float]] = []
        self.metrics_keys: list[str] = []
        self.hparams: dict[str, Any] = {}

    def save(self) -> None:
        """Append the logged values to the file."""
        if self.metrics and not self.metrics_keys:
            with writing(Path(self.log_dir)):
                os.makedirs(self.log_dir, exist_ok=True)
            if os.path.exists(self.metrics_file_path):
                with open(self.metrics_file_path, newline="") as file:
                    self.metrics_keys = next(csv.reader(file), [])
        with writing(Path(self.metrics_file_path)):
            super().save()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Write the file again with columns for new scalars, whole or not at all."""
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        _write_rows(path, fieldnames, rows)


def drop_rows_after(run: Path, step: int) -> None:
    """Remove the rows of metrics.csv after an optimizer step, because a resumed run writes them again.

    A row that is cut off, such as the last row of a process that was killed, is removed, too.
    """
    path = run / "metrics.csv"
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(line.replace("\0", "") for line in file)
        kept = [row for row in reader if None not in row.values() and _is_until(row.get("step"), step)]
    _write_rows(path, list(reader.fieldnames or []), kept)


def _is_until(text: str | None, step: int) -> bool:
    """Whether the text of a row's step is a number that is not greater than `step`."""
    return text is not None and text.isdecimal() and int(text) <= step


def _write_rows(path: Path, fieldnames: list[str], rows: list[dict[str, Any]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=fieldnames, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
