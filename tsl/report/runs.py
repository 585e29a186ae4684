"""Runs as the report sees them: settings, state, and whatever of their records can be read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tsl.errors import InputError
from tsl.figures.runs import flatten
from tsl.runs.records import COLUMNS, KEYS, DamagedRecordsError, read_config, read_table, recorded_epochs
from tsl.runs.status import read_status, run_state

SAME_KIND = ("model.class_path", "model.init_args.teacher.class_path", "model.init_args.teacher.init_args.widths")
"""Settings that make runs of the same kind: curves of others stand in one figure, and say nothing of each other."""


@dataclass(frozen=True, eq=False)
class ReportRun:
    """One run. Reading its tables adds to `notes` what could not be read, and why."""

    path: Path
    name: str
    config: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by their dotted names."""
        return flatten(self.config)

    @property
    def seed(self) -> int:
        """The seed of replicate 0."""
        seed = self.config.get("seed_everything", 0)
        return seed if isinstance(seed, int) else 0

    @property
    def planned_epochs(self) -> int | None:
        """How long it was to train."""
        epochs = self.settings.get("trainer.max_epochs")
        return epochs if isinstance(epochs, int) else None

    @property
    def state(self) -> str:
        """One of `tsl.runs.status.STATES`."""
        return run_state(self.path, self.planned_epochs)

    @property
    def status(self) -> dict[str, Any]:
        """What its process said of itself."""
        return read_status(self.path)

    def table(
        self, table: str, epochs: Collection[int] | None = None, needed: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The rows of a table that can be read, on evaluation inputs; none if there are none.

        Args:
            table: A key of `tsl.runs.records.COLUMNS`.
            epochs: The recorded epochs to read; all if None.
            needed: The columns without which a file is left out, beside those that say which row it is.
        """
        chosen = recorded_epochs(self.path, table) if epochs is None else sorted(epochs)
        if not chosen:
            return pd.DataFrame()
        columns = [column for column in COLUMNS[table] if column in KEYS or column in (needed or ())]
        try:
            frame = read_table(self.path, table, chosen, columns)
        except DamagedRecordsError as error:
            frame = self._readable(table, chosen, columns, error)
        lacking = [column for column in COLUMNS[table] if column not in frame]
        if lacking and len(frame):
            self.notes.append(f"records of {table} are from an older version, without {', '.join(lacking)}")
        return frame[frame["split"] == "val"].reset_index(drop=True) if "split" in frame else frame

    def _readable(
        self, table: str, epochs: Sequence[int], columns: Sequence[str], error: DamagedRecordsError
    ) -> pd.DataFrame:
        frames = []
        for epoch in epochs:
            try:
                frames.append(read_table(self.path, table, [epoch], columns))
            except DamagedRecordsError:
                continue
        self.notes.append(f"{len(epochs) - len(frames)} of {len(epochs)} epochs of {table} are left out: {error}")
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def read_runs(paths: Sequence[Path]) -> tuple[list[ReportRun], list[str]]:
    """Look at directories.

    Args:
        paths: Directories of runs; one named twice counts once.

    Returns:
        Those that are runs, and a note for each that is none.
    """
    paths = list({path.resolve(): path for path in paths}.values())
    short = ["/".join(path.absolute().parts[-2:]) for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    runs, notes = [], []
    for path, name in zip(paths, names, strict=True):
        run = ReportRun(path, name, {})
        try:
            run.config.update(read_config(path))
        except InputError as error:
            if not any((path / "records").glob("*/*.parquet")):
                notes.append(str(error))
                continue
            run.notes.append(str(error))
        runs.append(run)
    return runs, notes


def differing_kinds(runs: Sequence[ReportRun]) -> list[str]:
    """What keeps runs from being compared, if anything does."""
    notes = []
    for key in SAME_KIND:
        by_value: dict[str, list[str]] = {}
        for run in runs:
            if run.config:
                by_value.setdefault(str(run.settings.get(key)), []).append(run.name)
        if len(by_value) > 1:
            words = "; ".join(f"{value} in {', '.join(names)}" for value, names in by_value.items())
            notes.append(f"these runs do not belong in one figure, their {key} differs: {words}")
    return notes
