"""W&B goes away while a run trains: the run ends as it would without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import assert_same_run
from tests.fitting import ROOT, TINY
from tsl.fit import main
from tsl.runs import Run


@pytest.mark.skipif(sys.platform != "linux", reason="it finds wandb's process in /proc")
@pytest.mark.parametrize("what", ["process", pytest.param("server", marks=pytest.mark.faults)])
def test_training_goes_on(what: str, tmp_path: Path) -> None:
    """Without a server wandb waits at each table, and for a minute at the end: two minutes in all."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}  # of other tests' wandb
    quiet = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.wandb.unreachable", what, str(tmp_path / "runs"), "--version", "run"],
        cwd=ROOT,
        env=others | quiet,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    if what == "process":
        assert finished.stderr.count("warning: W&B fails, so training goes on without it") == 1, finished.stderr
    run = tmp_path / "runs/tiny/run"
    assert Run(run).state == "complete"
    assert (run.parents[1] / "wandb").is_dir()
    main(
        [*TINY, "--trainer.default_root_dir", str(tmp_path / "whole"), "--version", "run", "--trainer.max_epochs", "3"]
    )
    assert_same_run(tmp_path / "whole/tiny/run", run)
