"""Checkpoints are written beside their target, whole or not at all, and read without running code."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from tests.conftest import make_data, make_module
from tests.runs.test_resume import Malicious
from tsl.callbacks import for_run
from tsl.callbacks.checkpoint_files import WholeCheckpoints
from tsl.errors import CannotWriteError, InputError
from tsl.runs import Run, whole_files


def trained(root: Path, **settings: Any) -> pl.Trainer:
    quiet = {"accelerator": "cpu", "max_epochs": 2, "enable_model_summary": False}
    trainer = pl.Trainer(**(quiet | for_run(root, "tiny", "run", progress=False) | settings))
    trainer.fit(make_module(), make_data())
    return trainer


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_checkpoint_that_is_cut_off_leaves_the_one_before(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs/last.ckpt"
    WholeCheckpoints().save_checkpoint({"value": torch.ones(1000)}, path)
    before = path.read_bytes()
    seen = []

    def fail(*_: Any) -> None:
        seen.extend(each.name for each in path.parent.iterdir())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CannotWriteError, match=r"last.ckpt cannot be written \(No space left on device\): make room"):
        WholeCheckpoints().save_checkpoint({"value": torch.zeros(1000)}, path)
    assert sorted(seen) == [f".{os.getpid()}.last.ckpt", "last.ckpt"]  # on the same file system, whatever TMPDIR is
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_files_and_their_directory_are_on_the_disk_before_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order = tmp_path / "last.ckpt", []
    flush, replace = whole_files.flush, os.replace
    monkeypatch.setattr(whole_files, "flush", lambda each: (order.append(each.name), flush(each)))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("replace"), replace(*paths)))
    for _ in range(2):
        WholeCheckpoints().save_checkpoint({}, path)
    temporary = f".{os.getpid()}.last.ckpt"
    assert order == [temporary, "replace", temporary, "replace", tmp_path.name]


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 1, "hook": Malicious(tmp_path)}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match=r"x.ckpt is damaged, or holds more than tensors"):
        WholeCheckpoints().load_checkpoint(tmp_path / "x.ckpt")
    assert not (tmp_path / "ran").exists()


class OfTheUser(TorchCheckpointIO):
    """A user's own way to write checkpoints."""


def test_runs_write_whole_checkpoints_unless_a_plugin_does(tmp_path: Path) -> None:
    assert isinstance(trained(tmp_path / "a").strategy.checkpoint_io, WholeCheckpoints)
    assert isinstance(trained(tmp_path / "b", plugins=[OfTheUser()]).strategy.checkpoint_io, OfTheUser)


@pytest.mark.parametrize("file", ["last.ckpt", "epoch_00001.parquet"])
def test_a_run_on_a_full_disk_is_resumable(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full from the first time that this file is written; status.json cannot be written then either."""
    refused: list[str] = []

    def full(path: Path) -> None:
        if refused or path.name.endswith(file):
            refused.append(path.name)
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(whole_files, "flush", full)
    with pytest.raises(CannotWriteError, match=rf"{file} cannot be written \(No space left on device\)"):
        trained(tmp_path)
    assert refused[-1].endswith("status.json")
    assert Run(tmp_path / "tiny/run").state == "resumable"
