"""No file that a run writes holds what stands in the environment."""

from pathlib import Path

import pytest

from tests.fitting import ROOT, TINY
from tsl.fit import main

CANARY = "c0ffee" * 6 + "beef"  # 40 characters, as W&B's keys


def test_no_written_file_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "TSL_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    main([*TINY, "--config", str(ROOT / "configs/logger/wandb.yaml"), "--trainer.default_root_dir", str(tmp_path)])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.name == "status.json" for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
