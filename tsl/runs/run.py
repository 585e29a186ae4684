"""One run on disk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tsl.errors import InputError
from tsl.format import check_format
from tsl.grid import GRID, expanded, seeds_of_run
from tsl.replicates import replicate_seeds
from tsl.runs.records import COLUMNS, KEYS, DamagedRecordsError, read_config, read_table, recorded_epochs
from tsl.runs.settings import flatten, in_words, names_in_words
from tsl.runs.status import read_status, run_state


class Run:
    """A run's directory: its settings, tables, state and checkpoints, each read at its first use.

    Args:
        path: The directory, `<root>/<experiment>/<version>`.
        name: Its name in figures and tables; the last two parts of its path if not given.
        tables: Tables to use instead of those on disk, by name.
        config: Nested settings to use instead of config.yaml.
    """

    def __init__(
        self,
        path: Path | str,
        name: str | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        self.name = name or "/".join(self.path.absolute().parts[-2:])
        self.notes: list[str] = []
        self._tables = dict(tables or {})
        self._config = config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its nested settings, as in config.yaml.

        Raises:
            InputError: If a newer tsl wrote the run, or as in `tsl.runs.records.read_config`.
        """
        check_format(self.status, str(self.path))
        return read_config(self.path) if self._config is None else self._config

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its settings by their dotted names; settings of its grid are lists along its replicates."""
        return {key: value for key, value in flatten(expanded(self.config)).items() if key.split(".")[0] not in GRID}

    @property
    def seed(self) -> int:
        """The seed of replicate 0.

        Raises:
            InputError: If the seed in config.yaml is not a number.
        """
        seed = self.config.get("seed_everything", 0)
        if not isinstance(seed, int):
            raise InputError(f"{self.path}: seed_everything in config.yaml is {seed!r}; expected a number")
        return int(seed)

    @property
    def planned_epochs(self) -> int | None:
        """trainer.max_epochs; None if config.yaml has none."""
        epochs = self.settings.get("trainer.max_epochs")
        return epochs if isinstance(epochs, int) and epochs >= 0 else None

    @property
    def status(self) -> dict[str, Any]:
        """The content of its status.json."""
        return read_status(self.path)

    @property
    def state(self) -> str:
        """One of `tsl.runs.status.STATES`."""
        try:
            return run_state(self.path, self.planned_epochs)
        except InputError:  # its settings cannot be read
            return run_state(self.path, None)

    @cached_property
    def replicates(self) -> pd.DataFrame:
        """A row for each replicate: `replicate`, `seed`, and a column for every setting that differs along them.

        Raises:
            InputError: If the table exists but cannot be read, or replicates in config.yaml is not a number.
        """
        if "replicates" in self._tables:
            return self._tables["replicates"]
        if self.recorded_epochs("replicates"):
            return read_table(self.path, "replicates")
        count = self.config.get("replicates", 1)
        if not isinstance(count, int):
            raise InputError(f"{self.path}: replicates in config.yaml is {count!r}; expected a number")
        seeds = replicate_seeds(seeds_of_run(self.config | {"seed_everything": self.seed}), count)
        frame = pd.DataFrame({"replicate": range(count), "seed": seeds})
        lists = {key: value for key, value in self.settings.items() if key.endswith(_LISTS_OF_OLDER_RUNS)}
        for key, values in lists.items():
            if isinstance(values, list) and values and count % len(values) == 0 and values != values[:1] * len(values):
                frame[key] = values * (count // len(values))
        return frame

    @cached_property
    def groups(self) -> "list[ReplicateGroup]":
        """Its replicates in groups of the same settings, in the order of their first replicates."""
        varying = [column for column in self.replicates if column not in COLUMNS["replicates"]]
        if not varying:
            return [ReplicateGroup(self, {}, self.replicates["replicate"].tolist())]
        rows = self.replicates.groupby(varying, sort=False, dropna=False)
        return [
            ReplicateGroup(self, {str(key): _plain(rows[key].iloc[0]) for key in varying}, rows["replicate"].tolist())
            for _, rows in rows
        ]

    def recorded_epochs(self, table: str) -> list[int]:
        """The epochs that are recorded in a table, in order."""
        if table in self._tables:
            return sorted(self._tables[table]["epoch"].unique().tolist())
        return recorded_epochs(self.path, table)

    def table(
        self, table: str, epochs: Collection[int] | None = None, needed: Collection[str] | None = None
    ) -> pd.DataFrame:
        """The rows of one table, of all replicates; see `tsl.runs.records.read_table`."""
        if table not in self._tables:
            return read_table(self.path, table, epochs, needed)
        frame = self._tables[table]
        return frame if epochs is None else frame[frame["epoch"].isin(list(epochs))]

    def readable_table(
        self, table: str, epochs: Collection[int] | None = None, needed: Sequence[str] = ()
    ) -> pd.DataFrame:
        """The rows of a table that can be read; `notes` gets a line about rows that cannot.

        Args:
            table: A key of `tsl.runs.records.COLUMNS`.
            epochs: The recorded epochs to read; all if None.
            needed: The columns without which a file is left out, besides the columns that identify a row.

        Returns:
            The rows; an empty table if there are none.
        """
        chosen = self.recorded_epochs(table) if epochs is None else sorted(epochs)
        columns = [column for column in COLUMNS[table] if column in KEYS or column in needed]
        if not chosen:
            return pd.DataFrame()
        try:
            frame = self.table(table, chosen, columns)
        except DamagedRecordsError as error:
            frames = []
            for epoch in chosen:
                try:
                    frames.append(self.table(table, [epoch], columns))
                except DamagedRecordsError:
                    continue
            self.notes.append(f"{len(chosen) - len(frames)} of {len(chosen)} epochs of {table} are left out: {error}")
            frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        lacking = [column for column in COLUMNS[table] if column not in frame]
        if lacking and len(frame):
            self.notes.append(f"records of {table} are from an older version, without {', '.join(lacking)}")
        return frame


def readable_run(path: Path | str, name: str | None = None) -> Run:
    """A run for lists and reports: settings and tables that cannot be read are left out and named in `notes`.

    Args:
        path: Its directory.
        name: Its name in lists; if not given, the default of `Run`.
    """
    run = Run(path, name)
    try:
        _ = run.config
    except (InputError, OSError) as error:
        run.notes.append(str(error))
        run.config = {}
    try:
        if run.config or run.recorded_epochs("replicates"):
            _ = run.replicates
            return run
    except InputError as error:
        run.notes.append(str(error))
    losses = run.readable_table("losses", run.recorded_epochs("losses")[-1:])
    numbers = sorted(losses["replicate"].unique().tolist()) if len(losses) else [0]
    run.replicates = pd.DataFrame({"replicate": numbers, "seed": numbers})
    return run


_LISTS_OF_OLDER_RUNS = (".polarity", ".std", ".train_size")
"""Endings of the settings that could differ along the replicates in older runs, which have no table `replicates`."""


@dataclass(frozen=True, eq=False)
class ReplicateGroup:
    """The replicates of a run that have the same settings except the seed.

    Args:
        run: The run.
        varying: The settings that differ along the run's replicates, with these replicates' values, by dotted names.
        replicates: The numbers of these replicates, counted from 0.
    """

    run: Run
    varying: dict[str, Any]
    replicates: list[int]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by their dotted names, with the values that these replicates have."""
        return self.run.settings | self.varying

    @property
    def seeds(self) -> dict[int, int]:
        """The seed of each replicate."""
        rows = self.run.replicates.set_index("replicate").loc[self.replicates, "seed"]
        return dict(zip(self.replicates, rows.tolist(), strict=True))

    @property
    def label(self) -> str:
        """The settings that differ within its run: "polarity=1,std=0.1"; empty if only seeds differ."""
        names = names_in_words(list(self.varying))
        return ",".join(f"{names[key]}={in_words(value)}" for key, value in self.varying.items())

    @property
    def name(self) -> str:
        """The run's name and the group's label."""
        return " ".join(filter(None, [self.run.name, self.label]))

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of these replicates in one of the run's tables."""
        return frame[frame["replicate"].isin(self.replicates)] if self.varying and len(frame) else frame


def _plain(value: Any) -> Any:
    """A number of numpy as a number of Python."""
    return value.item() if hasattr(value, "item") else value
