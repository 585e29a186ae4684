"""Reads back what wandb wrote offline: its run file, and the files beside it."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class WandbRun(NamedTuple):
    """What one `.wandb` file holds: nested dictionaries of plain values, and wandb's own messages for the rest."""

    directory: Path
    run: Any
    config: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    metrics: dict[str, Any]
    artifacts: list[Any]
    alerts: list[Any]
    exit_code: int

    def file(self, logged: dict[str, Any]) -> Path:
        """The file of a logged table or picture."""
        return self.directory / "files" / logged["path"]

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The rows of history that have a key."""
        return [row for row in self.history if key in row]


def read_wandb_runs(root: Path) -> list[WandbRun]:
    """The runs that were logged offline below a directory, the oldest first."""
    return [_read(file) for file in sorted((root / "wandb").glob("offline-run-*/run-*.wandb"))]


def _read(file: Path) -> WandbRun:
    found = WandbRun(file.parent, None, {}, [], {}, {}, [], [], 0)
    for record in complete_records(file):
        if record.HasField("run"):
            found = found._replace(run=record.run)
        for update in (*record.run.config.update, *record.config.update):
            _set(found.config, update)
        for update in record.summary.update:
            _set(found.summary, update)
        if record.history.item:
            row: dict[str, Any] = {}
            for item in record.history.item:
                _set(row, item)
            found.history.append(row)
        if record.HasField("metric"):
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        if record.HasField("artifact"):
            found.artifacts.append(record.artifact)
        if record.HasField("alert"):
            found.alerts.append(record.alert)
        if record.HasField("exit"):
            found = found._replace(exit_code=record.exit.exit_code)
    return found


def _set(nested: dict[str, Any], item: Any) -> None:
    *outer, last = item.nested_key or [item.key]
    for key in outer:
        nested = nested.setdefault(key, {})
    nested[last] = json.loads(item.value_json)


def complete_records(file: Path) -> list[Any]:
    """All records of a run, once the last is there: wandb's own process may still write after the run's end."""
    from wandb.proto.wandb_internal_pb2 import Record

    deadline = time.monotonic() + 60
    while True:
        records = [Record.FromString(data) for data in records_of(file)]
        if any(record.HasField("exit") for record in records):
            return records
        assert time.monotonic() < deadline, "wandb did not finish its file"
        time.sleep(0.1)


def records_of(file: Path) -> Iterator[bytes]:
    """The records in a run file of wandb's: LevelDB's log format behind a header of 7 bytes.

    A block of 32 KiB holds chunks: checksum (4 bytes), length (2), type (1: whole, 2: first, 3: middle, 4: last), data.
    """
    content, position, record = file.read_bytes(), 7, b""
    while position + 7 <= len(content):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        if position + 7 + length > len(content):
            return  # still being written
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""
