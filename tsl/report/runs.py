"""Runs for the report: all records that can be read, for each group of replicates."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from tsl.runs import ReplicateGroup, Run, readable_run
from tsl.runs.listing import runs_of

SAME_KIND = ("model.class_path", "model.init_args.teacher.class_path", "model.init_args.teacher.init_args.widths")
"""Runs that differ in these settings are of different kinds, so their curves cannot be compared."""


def read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Read the runs of directories.

    Args:
        paths: Directories of runs, or directories that hold runs; a run that is given twice counts once.

    Returns:
        The runs, and a note for each file and for each directory without a run.
    """
    paths, notes = runs_of(paths)
    paths = list({path.resolve(): path for path in paths}.values())
    short = ["/".join(path.absolute().parts[-2:]) for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    runs = []
    for path, name in zip(paths, names, strict=True):
        run = readable_run(path, name)
        if run.config or any((path / "records").glob("*/*.parquet")):
            runs.append(run)
        else:
            notes += run.notes
    return runs, notes


def evaluated(
    group: ReplicateGroup, table: str, epochs: Collection[int] | None = None, needed: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of a group's replicates in one of a run's tables, on evaluation inputs.

    Args:
        group: The group.
        table: A key of `tsl.runs.records.COLUMNS`.
        epochs: The recorded epochs to read; all if None.
        needed: The columns without which a file is left out, besides the columns that identify a row.

    Returns:
        The rows that can be read, which may be none; the run's `notes` name what cannot be read.
    """
    frame = group.rows(group.run.readable_table(table, epochs, needed))
    return frame[frame["split"] == "val"].reset_index(drop=True) if "split" in frame else frame


def differing_kinds(runs: Sequence[Run]) -> list[str]:
    """Notes on settings that make runs incomparable; empty if there are none."""
    notes = []
    for key in SAME_KIND:
        by_value: dict[str, list[str]] = {}
        for run in runs:
            if run.config:
                by_value.setdefault(str(run.settings.get(key)), []).append(run.name)
        if len(by_value) > 1:
            words = "; ".join(f"{value} in {', '.join(names)}" for value, names in by_value.items())
            notes.append(f"these runs cannot be compared in one figure, because their {key} differs: {words}")
    return notes
