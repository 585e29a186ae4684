"""The tidy tables that a run writes and that figures read: `<run>/records/<table>/epoch_00003.parquet`.

There is one file for each table and evaluation epoch, and files are merged while a run goes on
(`tsl.runs.record_files`). `pandas.read_parquet(run / "records" / "losses")` reads a whole table, too.
Epoch 0 is before training. Layers and nodes count from 1, replicates from 0 (the table `replicates` has their
seeds), and `split` is "val" or "train". Pruned teacher nodes, which have no weight to the layer above, have no rows.
"""

import math
import re
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import yaml

from tsl.errors import InputError
from tsl.names import ACCURACY_COLUMNS, FRACTION_RECOVERED, RECOVERED, THRESHOLDS, recovered_column
from tsl.runs.record_files import RecordFile, drop_epochs_after, record_files, write_epoch
from tsl.runs.translation import translated

Read = TypeVar("Read")

COLUMNS: dict[str, tuple[str, ...]] = {
    "replicates": ("replicate", "seed"),
    "teacher_nodes": (
        *("epoch", "split", "replicate", "layer", "node", "best_correlation", "best_student"),
        *map(recovered_column, THRESHOLDS),
        *(f"matches_{RECOVERED:.2f}", "observed", "strength"),
    ),
    "student_nodes": (
        *("epoch", "split", "replicate", "layer", "node", "best_correlation", "best_teacher", "strength"),
    ),
    "layers": ("epoch", "split", "replicate", "layer", "rho_mean", FRACTION_RECOVERED),
    "losses": ("epoch", "replicate", "train_loss", "val_loss", "val_mse", "gradient_sup_norm"),
    "pairs": ("epoch", "split", "replicate", "layer", "teacher_node", "student_node", "correlation"),
    "gradients": ("epoch", "replicate", "layer", "rms", "max"),
    "activity": ("epoch", "replicate", "layer", "node", "active_fraction"),
    "mean_matrices": ("epoch", "split", "replicate", "layer", "matrix", "row", "column", "value"),
    "overlaps": ("epoch", "replicate", "alpha", "normalization", "matrix", "row", "column", "value"),
    "output_weights": ("epoch", "replicate", "alpha", "network", "output", "node", "value"),
    "seed_pairs": ("epoch", "replicate", "other_replicate", "layer", "one_to_one", "one_to_one_null"),
    "seed_nodes": (
        *("epoch", "replicate", "other_replicate", "layer", "node", "best_correlation", "best_correlation_null"),
    ),
    "certificate": (
        *("epoch", "replicate", "node", "observed", "observer", "alpha", "gradient_sup_norm", "granted_epsilon"),
        *("reached_epsilon", "best_aligned_student", "observer_epsilon", "condition", "vacuous", "conclusion"),
    ),
    "polish": (
        *("epoch", "replicate", "loss_before", "loss", "gradient_norm", "iterations", "kind", "parameters", "spectrum"),
        *("least_eigenvalue", "largest_eigenvalue", "negative", "zero", "rescalings", "duplicates"),
    ),
    "eigenvalues": ("epoch", "replicate", "row", "value"),
    "clusters": (*("epoch", "node", "students", "student_nodes", "spread", "strength", "best_teacher", "distance"),),
}
"""The columns that every file of a table has, in this order."""

MORE_COLUMNS = {
    "replicates": r".+",
    "teacher_nodes": r".+",
    "layers": r".+",
    "losses": "|".join(("train_size", "augmented_size", "population_loss", *ACCURACY_COLUMNS)),
}
"""Names that further columns may have: settings that differ along the replicates, other thresholds, measures of
nodes and of whole layers (redundancy, cka, rho_mean_null), the number of training inputs of a replicate before and
after augmentation, the exact loss if it has a closed form, and accuracies if the data has labels."""

KEYS = (
    *(
        "epoch",
        "split",
        "replicate",
        "other_replicate",
        "layer",
        "network",
        "output",
        "node",
        "teacher_node",
        "student_node",
    ),
    *("matrix", "row", "column"),
)
"""The columns that identify a row; a table is sorted by those of them that it has."""

WORDS = ("split", "network", "matrix", "normalization", "kind", "spectrum", "duplicates")
"""The columns that hold words. All others hold numbers, except settings in the table `replicates`."""

ALWAYS = "it stopped before its first evaluation, or lacks tsl.callbacks.SpecializationRecords: run it again with them"
ON_REQUEST = {
    "certificate": "run it again with tsl.callbacks.CertificateRecords under trainer.callbacks (see "
    "configs/certificate.yaml)",
    **dict.fromkeys(
        ("seed_pairs", "seed_nodes"),
        "run it again with tsl.callbacks.SeedRecords under trainer.callbacks (see configs/universality.yaml)",
    ),
    "pairs": "run it again with `--records.pairs true` (`pairs: true` of tsl.callbacks.SpecializationRecords)",
    "mean_matrices": "run it again with `--records.mean_matrices true` (`mean_matrices: true` of "
    "tsl.callbacks.SpecializationRecords)",
    "overlaps": "run it again with `--records.overlaps true`",
    "output_weights": "run it again with `--records.overlaps true`, and one hidden layer",
    "polish": "make them with `tsl polish`",
    "eigenvalues": "make them with `tsl polish`",
    "clusters": "make them with `tsl cluster-students`",
    "activity": "its teacher was not conditioned: run it again with `--model.condition_teacher true`",
}
"""What to do if a run lacks a table, and for some tables why it may lack it."""

FROM_ONE = (
    *("layer", "node", "teacher_node", "student_node", "best_student", "best_teacher", "best_aligned_student"),
    *("row", "column", "output"),
)


SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's loader in C, if it is installed, because it reads a thousand configs in a second."""


class DamagedRecordsError(InputError):
    """A file of a run exists but cannot be read; the message names it."""


class NoRecordsError(InputError):
    """A run has no such table."""


def write_table(run_dir: Path | str, table: str, epoch: int, frame: pd.DataFrame) -> Path:
    """Write the rows of one table and evaluation epoch, and replace earlier ones of this epoch.

    Args:
        run_dir: The run's directory, which is made if it does not exist.
        table: A key of `COLUMNS`.
        epoch: Epochs trained so far; every row of the frame carries it as well.
        frame: The rows, with the columns of `COLUMNS[table]` and those that `MORE_COLUMNS` allows.

    Returns:
        The file written.

    Raises:
        ValueError: If the table is unknown, a column is missing or unknown, or a value is out of range.
        CannotWriteError: If the file cannot be written.
    """
    directory = _table_dir(run_dir, table)
    _check(table, epoch, frame)
    more = [column for column in frame if column not in COLUMNS[table]]
    rows = pyarrow.Table.from_pandas(frame[[*COLUMNS[table], *more]], preserve_index=False)
    return write_epoch(directory, epoch, rows)


def read_table(
    run_dir: Path | str, table: str, epochs: Collection[int] | None = None, needed: Collection[str] | None = None
) -> pd.DataFrame:
    """Read one table of a run.

    Args:
        run_dir: The run's directory.
        table: A key of `COLUMNS`.
        epochs: The recorded epochs to read; all if None.
        needed: The columns that must exist, for readers that accept records of older versions; all of
            `COLUMNS[table]` if None.

    Returns:
        The rows, sorted by epoch and the table's other `KEYS`.

    Raises:
        ValueError: If the table is unknown.
        InputError: If the directory is not a run.
        NoRecordsError: If the run has no such table.
        DamagedRecordsError: If a file cannot be read or lacks columns.
    """
    directory = _table_dir(run_dir, table)
    _check_run(run_dir)
    columns = COLUMNS[table] if needed is None else needed
    frames = _reading(lambda: [_read_file(file, columns, epochs) for file in _files(directory, epochs)])
    if not any(len(frame) for frame in frames):
        raise NoRecordsError(f"{run_dir} has no records of {table!r}; {ON_REQUEST.get(table, ALWAYS)}")
    frame = pd.concat(frames, ignore_index=True)
    return frame.sort_values([key for key in KEYS if key in frame], ignore_index=True)


def check_table(run_dir: Path | str, table: str) -> None:
    """Refuse a table that `read_table` would refuse; it reads the files' schemas, but only the last epoch's rows.

    Args:
        run_dir: The run's directory.
        table: A key of `COLUMNS`.

    Raises:
        InputError: If the directory is not a run.
        NoRecordsError: If the run has no such table.
        DamagedRecordsError: If a file cannot be read or lacks columns.
    """
    read_table(run_dir, table, recorded_epochs(run_dir, table)[-1:])

    def check() -> None:
        for file in record_files(_table_dir(run_dir, table)):
            with _naming(file.path):
                columns = pyarrow.parquet.read_schema(file.path).names
            _check_columns(file.path, COLUMNS[table], columns)

    _reading(check)


def read_last(run_dir: Path | str, table: str, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Some columns of the last recorded epoch, read five times as fast as by `read_table`, for lists of many runs.

    Args:
        run_dir: The run's directory.
        table: A key of `COLUMNS`.
        columns: Names of columns.

    Returns:
        The columns by name; empty if the run has no such table. Measures that are not finite are NaN or infinite.

    Raises:
        DamagedRecordsError: If the file cannot be read, lacks columns or rows, or has text in place of a number.
    """

    def read() -> dict[str, list[Any]]:
        for path in [file.path for file in record_files(_table_dir(run_dir, table))][-1:]:
            with _naming(path), pyarrow.parquet.ParquetFile(path) as file:
                rows = file.read(list({*columns, "epoch"}), use_threads=False)
                last = rows.filter(pyarrow.compute.field("epoch") == pyarrow.compute.max(rows["epoch"]))
                found = {name: _values(last[name], name) for name in columns if name in last.column_names}
            _check_columns(path, columns, found)
            return found
        return {}

    return _reading(read)


def recorded_epochs(run_dir: Path | str, table: str) -> list[int]:
    """The epochs that a run has recorded in a table, in order; empty if the directory is not a run.

    Raises:
        DamagedRecordsError: If a merged file cannot be read.
    """

    def read() -> list[int]:
        found = []
        for file in record_files(_table_dir(run_dir, table)):
            with _naming(file.path):
                found += file.epochs()
        return sorted(found)

    return _reading(read)


def drop_records_after(run_dir: Path | str, epoch: int) -> None:
    """Remove the records of later epochs, because a run that is resumed at this epoch writes them again."""
    for table in COLUMNS:
        drop_epochs_after(_table_dir(run_dir, table), epoch)


def read_config(run_dir: Path | str) -> dict[str, Any]:
    """Read a run's `config.yaml` as plain dicts, lists and values.

    Args:
        run_dir: The run's directory.

    Returns:
        The nested settings, with older settings translated (`tsl.runs.translation`).

    Raises:
        InputError: If the directory is not a run, or has no config.yaml.
        DamagedRecordsError: If the file is not a mapping in YAML.
    """
    _check_run(run_dir)
    path = Path(run_dir) / "config.yaml"
    if not path.is_file():
        raise InputError(f"{run_dir} has no config.yaml, which every run of tsl.fit has; copy it there")
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=SAFE_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DamagedRecordsError(f"{path} is damaged: {_one_line(error)}") from error
    if not isinstance(config, dict):
        raise DamagedRecordsError(f"{path} is damaged: expected a mapping of settings, got {type(config).__name__}")
    return translated(config)


def _table_dir(run_dir: Path | str, table: str) -> Path:
    if table not in COLUMNS:
        raise ValueError(f"unknown table {table!r}; the tables are {', '.join(COLUMNS)}")
    return Path(run_dir) / "records" / table


def _files(directory: Path, epochs: Collection[int] | None) -> list[RecordFile]:
    """The files of a table that may hold one of `epochs`, sorted by epoch."""
    files = record_files(directory)
    if epochs is None:
        return files
    return [file for file in files if any(file.first <= epoch <= file.last for epoch in epochs)]


def _reading(read: Callable[[], Read]) -> Read:
    """The result of `read`, which is tried again if a running process has merged a file just before it was read."""
    for _ in range(10):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an error while reading a file into one that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DamagedRecordsError(f"{path} is damaged: {_one_line(error)}") from error


def _check_run(run_dir: Path | str) -> None:
    directory = Path(run_dir)
    if not directory.is_dir():
        raise InputError(f"{run_dir} is not a run directory: it does not exist")
    if not (directory / "config.yaml").exists() and not (directory / "records").exists():
        raise InputError(f"{run_dir} is not a run directory: it has neither config.yaml nor records/")


def _check(table: str, epoch: int, frame: pd.DataFrame) -> None:
    required = COLUMNS[table]
    missing = [column for column in required if column not in frame]
    allowed = re.compile(MORE_COLUMNS.get(table, r"(?!)"))
    unknown = [column for column in frame if column not in required and not allowed.fullmatch(str(column))]
    if missing or unknown:
        raise ValueError(f"columns of {table!r}: missing {missing}, unknown {unknown}; required are {list(required)}")
    if frame.empty:
        raise ValueError(f"no rows for {table!r} at epoch {epoch}")
    if "epoch" in required and not (frame["epoch"] == epoch).all():
        raise ValueError(f"{table!r} of epoch {epoch} has rows of epochs {sorted(set(frame['epoch']))}")
    if "split" in frame and not frame["split"].isin(["val", "train"]).all():
        raise ValueError(f"split: expected 'val' or 'train', got {sorted(set(frame['split']))}")
    for column in FROM_ONE:
        if column in frame and frame[column].min() < 1:
            raise ValueError(f"{column} counts from 1, got {frame[column].min()}")


def _read_file(file: RecordFile, needed: Collection[str], epochs: Collection[int] | None) -> pd.DataFrame:
    with _naming(file.path):
        frame = pd.read_parquet(file.path)
        _check_numbers(frame, file.path.parent.name)
    _check_columns(file.path, needed, frame)
    return frame[frame["epoch"].isin(list(epochs))] if file.is_merged and epochs is not None else frame


def _check_numbers(frame: pd.DataFrame, table: str) -> None:
    """Refuse text in columns of numbers, and rows without a replicate, layer or node."""
    settings = set(frame) - set(COLUMNS[table]) if table == "replicates" else set()
    for name in set(frame) - {*WORDS, *settings}:
        kinds = "iu" if name in (*KEYS, "seed") else "iufb"
        if frame[name].dtype.kind not in kinds:
            raise TypeError(f"{name} holds {frame[name].dtype}; expected {'whole ' * (kinds == 'iu')}numbers")


def _values(column: pyarrow.ChunkedArray, name: str) -> list[Any]:
    """The values of a column, with NaN for null, because the files store NaN as null."""
    if name in WORDS:
        return list(column.to_pylist())
    if name not in KEYS:
        return list(column.cast(pyarrow.float64()).fill_null(math.nan).to_pylist())
    if not len(column) or column.null_count:
        raise ValueError(f"{name}: expected a value in every row, but some or all are missing")
    return list(column.cast(pyarrow.int64()).to_pylist())


def _check_columns(path: Path, needed: Collection[str], read: Container[str]) -> None:
    missing = [column for column in needed if column not in read]
    if missing:
        raise DamagedRecordsError(
            f"{path} is damaged, or of an older tsl: it lacks the columns {missing}; train the run again"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
