"""Runs of two processes that share each minibatch."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.fitting import ROOT, TINY, contents, weights
from tsl.fit import main
from tsl.runs.records import read_table

TWO_PROCESSES = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_that_share_each_minibatch_train_as_one(tmp_path: Path) -> None:
    batch = ["--data.init_args.batch_size", "6", "--trainer.default_root_dir", str(tmp_path)]
    main([*TINY, *batch, "--version", "one"])
    finished = started(*TINY, *batch, "--version", "two", *TWO_PROCESSES)
    assert finished.returncode == 0, finished.stderr
    one, two = tmp_path / "tiny/one", tmp_path / "tiny/two"
    for name, tensor in weights(one).items():
        torch.testing.assert_close(tensor, weights(two)[name], rtol=0, atol=1e-12)
    for table in ("teacher_nodes", "student_nodes", "layers", "losses"):
        first, second = (read_table(run, table).drop(columns="rho_mean_null", errors="ignore") for run in (one, two))
        # the null level is chance: each process shuffles its own share of the inputs
        pd.testing.assert_frame_equal(first, second, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_that_are_refused_change_nothing(tmp_path: Path) -> None:
    root = ["--trainer.default_root_dir", str(tmp_path / "runs")]
    fails = ["--model.class_path", "tests.callbacks.test_run_files.FailsAtTheEvaluation"]  # after files are written
    refused = started(*TINY, *root, *TWO_PROCESSES, *fails)
    assert refused.returncode == 2, refused.stderr
    assert "this evaluation fails" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs").exists()
    main([*TINY, *root, "--version", "run"])
    config = tmp_path / "runs/tiny/run/config.yaml"
    config.write_text(config.read_text().replace("multiplier: 2.0", "multiplier: 3.0"))
    before = contents(tmp_path)
    refused = started("--config", str(config), "--ckpt_path", "last", "--trainer.max_epochs", "3", *TWO_PROCESSES)
    assert refused.returncode == 2, refused.stderr
    assert "student.layers.0.weight is [2, 8, 6] in the checkpoint, [2, 12, 6] here" in refused.stderr
    assert contents(tmp_path) == before


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tsl.fit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
