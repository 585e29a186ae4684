"""The files of one table of a run: one for each evaluation, later merged, so that a long run has few files.

`epoch_00003.parquet` holds the rows of epoch 3. When a block of 32 epochs is over, its files are merged into one,
`epochs_00000_00031.parquet`; later the files of blocks of 32² and of 32³ epochs are merged too. A block of more than
32 MB stays as it is. The names show which files count: if a file's epochs lie within those of another file, it was
merged into that file by a process that was killed before it could remove it.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from tsl.errors import InputError
from tsl.runs.whole_files import flush, written_whole

BLOCK_SIZES = (32, 32**2, 32**3)
LARGEST = 32_000_000
"""The most bytes that are merged into one file."""

EPOCHS = b"tsl.epochs"
"""The key under which a merged file's metadata lists its epochs."""


class RecordFile(NamedTuple):
    """A file of a table, and the first and last epoch that it may hold; both are equal in a file of one evaluation."""

    first: int
    last: int
    path: Path

    @property
    def is_merged(self) -> bool:
        """Whether it may hold several epochs."""
        return self.last > self.first

    def epochs(self) -> list[int]:
        """The epochs that it holds, read from its metadata."""
        if not self.is_merged:
            return [self.first]
        return [int(epoch) for epoch in pyarrow.parquet.read_schema(self.path).metadata[EPOCHS].split()]


def record_files(directory: Path) -> list[RecordFile]:
    """The files of a table that count, sorted by epoch; other files, such as a user's copy, are left out."""
    found = []
    for path in directory.glob("epoch*.parquet"):
        if match := re.fullmatch(r"epoch_(\d+)|epochs_(\d+)_(\d+)", path.stem):
            first, last = (match[1], match[1]) if match[1] else (match[2], match[3])
            found.append(RecordFile(int(first), int(last), path))
    counting: list[RecordFile] = []
    for file in sorted(found, key=lambda file: (file.first, -file.last)):
        if not counting or file.last > counting[-1].last:
            counting.append(file)
    return counting


def write_epoch(directory: Path, epoch: int, rows: pyarrow.Table) -> Path:
    """Write the rows of one epoch, which replace earlier rows of this epoch, and merge the blocks that are over.

    Returns:
        The file that holds the rows.

    Raises:
        InputError: If a file already holds this epoch and is damaged.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for file in record_files(directory):
        if file.is_merged and file.first <= epoch <= file.last:
            others = _rows(file.path, pyarrow.compute.field("epoch") != epoch)
            _write_merged(file.path, [others, rows])
            return file.path
    path = directory / f"epoch_{epoch:05d}.parquet"
    with written_whole(path) as temporary:
        pyarrow.parquet.write_table(rows, temporary)
    _merge_blocks(directory, epoch)
    return path


def drop_epochs_after(directory: Path, epoch: int) -> None:
    """Remove the rows of later epochs, and the files that a killed process left behind after a merge.

    Raises:
        InputError: If a file that holds earlier epochs too is damaged.
    """
    kept = set()
    for file in record_files(directory):
        if file.last <= epoch:
            kept.add(file.path)
        elif file.first <= epoch:
            rows = _rows(file.path, pyarrow.compute.field("epoch") <= epoch)
            if len(rows):
                _write_merged(file.path, [rows])
                kept.add(file.path)
    for path in directory.glob("epoch*.parquet"):
        if path not in kept and re.fullmatch(r"epochs?_[\d_]+", path.stem):
            path.unlink()


def _merge_blocks(directory: Path, epoch: int) -> None:
    """Merge the files of each block that ended before an epoch."""
    for size in BLOCK_SIZES:
        blocks: dict[int, list[RecordFile]] = {}
        for file in record_files(directory):
            block = file.first // size
            if (block + 1) * size <= epoch and file.last < (block + 1) * size:
                blocks.setdefault(block, []).append(file)
        for block, files in blocks.items():
            if len(files) < 2 or sum(file.path.stat().st_size for file in files) > LARGEST:
                continue
            try:
                tables = [pyarrow.parquet.read_table(file.path) for file in files]
            except (OSError, pyarrow.ArrowException):
                continue  # a damaged file is not merged, so that error messages can name it
            _write_merged(directory / f"epochs_{block * size:05d}_{(block + 1) * size - 1:05d}.parquet", tables)
            flush(directory)
            for file in files:
                file.path.unlink()


def _rows(path: Path, filters: pyarrow.compute.Expression) -> pyarrow.Table:
    """The rows of a merged file that match a filter."""
    try:
        return pyarrow.parquet.read_table(path, filters=filters)
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} is damaged ({reason}): move it away and resume the run, which goes on without those epochs"
        ) from error


def _write_merged(path: Path, tables: Collection[pyarrow.Table]) -> None:
    rows = pyarrow.concat_tables(tables, promote_options="permissive")
    epochs = sorted(rows["epoch"].unique().to_pylist())
    metadata = {**(rows.schema.metadata or {}), EPOCHS: " ".join(map(str, epochs)).encode()}
    with written_whole(path) as temporary:
        pyarrow.parquet.write_table(rows.replace_schema_metadata(metadata), temporary)
