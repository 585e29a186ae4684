"""The files of a long run are merged as it goes on; readers see the same rows, also after a kill at any moment."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsl.errors import InputError
from tsl.runs import record_files, whole_files
from tsl.runs.records import drop_records_after, read_last, read_table, recorded_epochs, write_table


@pytest.fixture(autouse=True)
def blocks_of_4_and_16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_files, "BLOCK_SIZES", (4, 16))


def losses(epoch: int) -> pd.DataFrame:
    values = np.random.default_rng(epoch).normal(size=(4, 2))
    columns = dict(zip(("train_loss", "val_loss", "val_mse", "gradient_sup_norm"), values, strict=True))
    return pd.DataFrame({"epoch": epoch, "replicate": [0, 1], **columns})


def expected(epochs: Any) -> pd.DataFrame:
    return pd.concat([losses(epoch) for epoch in epochs], ignore_index=True)


def files(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "records/losses").iterdir())


@pytest.mark.parametrize("every", [1, 3, 7])
def test_few_files_hold_the_same_rows(tmp_path: Path, every: int) -> None:
    epochs = [*range(0, 40, every)]
    for count, epoch in enumerate(epochs, start=1):
        write_table(tmp_path, "losses", epoch, losses(epoch))
        assert recorded_epochs(tmp_path, "losses") == epochs[:count]
        assert read_last(tmp_path, "losses", ["epoch", "val_mse"])["val_mse"] == losses(epoch)["val_mse"].tolist()
    assert len(files(tmp_path)) <= 3 + 3 + 2
    pd.testing.assert_frame_equal(read_table(tmp_path, "losses"), expected(epochs), check_exact=True)
    whole = pd.read_parquet(tmp_path / "records/losses").sort_values(["epoch", "replicate"], ignore_index=True)
    pd.testing.assert_frame_equal(whole, expected(epochs), check_exact=True)  # as people outside tsl read it
    for epoch in epochs:
        pd.testing.assert_frame_equal(read_table(tmp_path, "losses", [epoch]), losses(epoch), check_exact=True)


def test_the_names_say_which_epochs_a_file_may_hold(tmp_path: Path) -> None:
    for epoch in range(23):
        write_table(tmp_path, "losses", epoch, losses(epoch))
    single = [f"epoch_{epoch:05d}.parquet" for epoch in (20, 21, 22)]
    assert files(tmp_path) == [*single, "epochs_00000_00015.parquet", "epochs_00016_00019.parquet"]


def test_an_epoch_in_a_merged_file_is_replaced(tmp_path: Path) -> None:
    for epoch in range(9):
        write_table(tmp_path, "losses", epoch, losses(epoch))
    path = write_table(tmp_path, "losses", 2, losses(2).assign(val_mse=[7.0, 8.0]))
    assert path.name == "epochs_00000_00003.parquet"
    assert read_table(tmp_path, "losses", [2])["val_mse"].tolist() == [7.0, 8.0]
    assert recorded_epochs(tmp_path, "losses") == [*range(9)]


def test_a_run_that_goes_on_at_an_earlier_epoch_drops_the_later_ones(tmp_path: Path) -> None:
    for last in (30, 16, 15, 5, 0):
        for epoch in range(40):
            write_table(tmp_path, "losses", epoch, losses(epoch))
        drop_records_after(tmp_path, last)
        pd.testing.assert_frame_equal(read_table(tmp_path, "losses"), expected(range(last + 1)), check_exact=True)


def test_columns_may_come_later_and_types_may_grow(tmp_path: Path) -> None:
    """As in runs of older versions, whose epoch 0 has its missing training loss in float32."""
    write_table(tmp_path, "losses", 0, losses(0).astype({"train_loss": "float32"}))
    for epoch in range(1, 5):
        write_table(tmp_path, "losses", epoch, losses(epoch).assign(accuracy=0.5))
    assert files(tmp_path) == ["epoch_00004.parquet", "epochs_00000_00003.parquet"]
    table = read_table(tmp_path, "losses")
    assert table["accuracy"].isna().tolist() == [True] * 2 + [False] * 8
    pd.testing.assert_series_equal(table["train_loss"][2:], expected(range(5))["train_loss"][2:], check_exact=True)


def test_a_damaged_file_is_left_alone(tmp_path: Path) -> None:
    for epoch in range(3):
        path = write_table(tmp_path, "losses", epoch, losses(epoch))
    path.write_bytes(b"PAR1")
    for epoch in range(3, 6):
        write_table(tmp_path, "losses", epoch, losses(epoch))
    assert len(files(tmp_path)) == 6


class Killed(BaseException):
    """Nothing that the process does comes after it."""


EVENTS = ("replace", "unlink", "fsync")


@contextmanager
def killed_at(event: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process end at its n-th call to the file system: from then on every call fails."""
    calls = iter(range(10**9))

    def counted(call: Any) -> Any:
        def instead(*arguments: Any, **settings: Any) -> Any:
            if next(calls) >= event:
                raise Killed
            return call(*arguments, **settings)

        return instead

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "fsync"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        yield


def test_a_kill_at_any_call_to_the_file_system_loses_and_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epoch 16 merges a block of 4 and one of 16; each call within it is once the last."""
    for epoch in range(16):
        write_table(tmp_path / "before", "losses", epoch, losses(epoch))
    for event in range(100):
        run = shutil.copytree(tmp_path / "before", tmp_path / str(event))
        try:
            with killed_at(event, monkeypatch):
                write_table(run, "losses", 16, losses(16))
        except Killed:
            pass
        else:
            assert event > 12
            return
        done = recorded_epochs(run, "losses")
        assert done in ([*range(16)], [*range(17)])
        pd.testing.assert_frame_equal(read_table(run, "losses"), expected(done), check_exact=True)
        whole_files.remove_unfinished(run)  # as the next process does
        drop_records_after(run, 15)
        write_table(run, "losses", 16, losses(16))
        pd.testing.assert_frame_equal(read_table(run, "losses"), expected(range(17)), check_exact=True)
        assert files(run) == ["epoch_00016.parquet", "epochs_00000_00015.parquet"]
    raise AssertionError("it never finished")


def test_a_damaged_file_that_has_to_be_written_again_is_named(tmp_path: Path) -> None:
    for epoch in range(9):
        write_table(tmp_path, "losses", epoch, losses(epoch))
    damaged = tmp_path / "records/losses/epochs_00004_00007.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    for change in (lambda: drop_records_after(tmp_path, 6), lambda: write_table(tmp_path, "losses", 7, losses(7))):
        with pytest.raises(InputError, match=r"epochs_00004_00007\.parquet is damaged .*: move it away"):
            change()
    damaged.rename(tmp_path / "away")
    drop_records_after(tmp_path, 6)
    assert recorded_epochs(tmp_path, "losses") == [0, 1, 2, 3]
