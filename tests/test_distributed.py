import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.fitting import ROOT, TINY, weights
from tsl.fit import main
from tsl.runs.records import read_table


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_that_share_each_minibatch_train_as_one(tmp_path: Path) -> None:
    batch = ["--data.init_args.batch_size", "6", "--trainer.default_root_dir", str(tmp_path)]
    main([*TINY, *batch, "--version", "one"])
    command = [sys.executable, "-m", "tsl.fit", *TINY, *batch, "--version", "two"]
    command += ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr
    one, two = tmp_path / "tiny/one", tmp_path / "tiny/two"
    for name, tensor in weights(one).items():
        torch.testing.assert_close(tensor, weights(two)[name], rtol=0, atol=1e-12)
    for table in ("teacher_nodes", "student_nodes", "layers", "losses"):
        first, second = (read_table(run, table).drop(columns="rho_mean_null", errors="ignore") for run in (one, two))
        # the null level is chance: each process shuffles its own share of the inputs
        pd.testing.assert_frame_equal(first, second, rtol=1e-9)
