import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_fit import ROOT, TINY
from tsl.fit import main

SCALARS = {"train/loss", "val/loss", "specialization/layer1/rho_mean", "specialization/layer1/recovered_0.95"}


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


def complete_records(file: Path) -> list[Any]:
    """All records of a run, once the last is there: wandb's own process may still write after `wandb.finish()`."""
    from wandb.proto.wandb_internal_pb2 import Record

    deadline = time.monotonic() + 60
    while True:
        records = [Record.FromString(data) for data in records_of(file)]
        if any(record.HasField("exit") for record in records):
            return records
        assert time.monotonic() < deadline, "wandb did not finish its file"
        time.sleep(0.1)


def test_wandb_offline_holds_settings_history_and_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back from the file that wandb itself wrote."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overlay = ["--config", str(ROOT / "configs/logger/wandb.yaml")]
    save_dir = ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    main([*TINY, *overlay, "--trainer.default_root_dir", str(tmp_path), *save_dir])
    import wandb

    wandb.finish()
    [file] = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    records = complete_records(file)
    config: dict[str, object] = {}
    history: list[dict[str, object]] = []
    summary: dict[str, object] = {}
    for record in records:
        for update in (*record.run.config.update, *record.config.update):
            config[update.key] = json.loads(update.value_json)
        for update in record.summary.update:
            summary[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
        if record.history.item:
            items = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            history.append(items)
    assert config["replicates"] == 2
    assert config["model"]["init_args"]["multiplier"] == 2  # type: ignore[index]
    assert {key for row in history for key in row} >= SCALARS | {"epoch", "trainer/global_step"}
    assert sorted({row["epoch"] for row in history if "epoch" in row}) == [0, 1, 2]  # type: ignore[type-var]
    assert {row["trainer/global_step"] for row in history if "val/loss" in row} == {0, 8, 16}
    assert summary.keys() >= SCALARS


def test_tensorboard_holds_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    overlay = ["--config", str(ROOT / "configs/logger/tensorboard.yaml")]
    save_dir = ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    main([*TINY, *overlay, "--trainer.default_root_dir", str(tmp_path), *save_dir])
    events = EventAccumulator(str(tmp_path / "tensorboard/version_0"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= SCALARS
    assert [event.step for event in events.Scalars("val/loss")] == [0, 8, 16]


def test_metrics_csv_is_written_whatever_the_logger(tmp_path: Path) -> None:
    logger = ["--trainer.logger", "TensorBoardLogger", "--trainer.logger.init_args.save_dir", str(tmp_path / "other")]
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), *logger])
    run = tmp_path / "tiny/version_0"
    assert (run / "metrics.csv").exists()
    assert (run / "checkpoints/last.ckpt").exists()
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["logger"]
