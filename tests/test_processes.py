"""Runs whose replicates are divided among processes: the files are those of one process, bit for bit."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.fitting import TINY, assert_same_records
from tests.test_distributed import started
from tsl.fit import main
from tsl.processes import _joined, _part
from tsl.runs import Run
from tsl.runs.cost import cost_of
from tsl.runs.records import read_table

TWO_PROCESSES = ["--trainer.strategy", "replicates", "--trainer.devices", "2"]
MOMENTUM = "{class_path: tsl.modules.SGD, init_args: {momentum: 0.9}}"
GRID = ["--model.init_args.optimizer", MOMENTUM, "--grid", "{lr: [0.01, 0.03, 0.1], polarity: [0.5]}"]
"""Three replicates, so that one process has two and the other one."""


def arguments(root: Path, version: str, epochs: int) -> list[str]:
    where = ["--trainer.default_root_dir", str(root), "--version", version]
    return [*TINY, "--replicates", "1", *GRID, *where, "--trainer.max_epochs", str(epochs)]


def assert_same_files(first: Path, second: Path) -> None:
    assert_same_records(first, second)
    pd.testing.assert_frame_equal(read_table(first, "replicates"), read_table(second, "replicates"))
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()
    one, two = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (first, second))
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(one[key], two[key], rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.distributed
def test_a_run_goes_on_in_any_number_of_processes_as_in_one(tmp_path: Path) -> None:
    main(arguments(tmp_path, "one", 1))
    finished = started(*arguments(tmp_path, "two", 1), *TWO_PROCESSES)
    assert finished.returncode == 0, finished.stderr
    one, two = tmp_path / "tiny/one", tmp_path / "tiny/two"
    assert_same_files(one, two)
    assert cost_of(two).student_steps == cost_of(one).student_steps == 3 * 8
    assert Run(two).groups[2].settings["model.init_args.optimizer.init_args.lr"] == 0.1
    one_process = ["--trainer.strategy", "auto", "--trainer.devices", "1"]
    again = ["--ckpt_path", "last", "--trainer.max_epochs", "2"]
    main(["--config", str(two / "config.yaml"), *again, *one_process])
    finished = started("--config", str(one / "config.yaml"), *again, *TWO_PROCESSES)
    assert finished.returncode == 0, finished.stderr
    main(arguments(tmp_path, "whole", 2))
    assert_same_files(tmp_path / "tiny/whole", two)
    assert_same_files(tmp_path / "tiny/whole", one)


@pytest.mark.slow
@pytest.mark.distributed
def test_a_replicate_that_diverges_in_another_process_is_named(tmp_path: Path) -> None:
    diverging = ["--grid", "{lr: [0.01, 0.02, 1.0e200], polarity: [0.5]}"]
    refused = started(*arguments(tmp_path, "run", 1), *diverging, *TWO_PROCESSES)
    assert refused.returncode == 2, refused.stderr
    assert "the training loss is not finite in epoch 1, replicates 2 (lr=1e+200)" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert Run(tmp_path / "tiny/run").state == "failed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--grid", "null"], ["each process, but there are 1 replicates and 2 processes", "trainer.strategy to ddp"]),
        (["--trainer.callbacks", "tsl.callbacks.SeedRecords"], ["trainer.callbacks = tsl.callbacks.SeedRecords"]),
    ],
)
def test_what_cannot_be_divided_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments(tmp_path, "run", 1), *TWO_PROCESSES, *changes])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert not (tmp_path / "tiny").exists()


def test_checkpoints_are_divided_and_joined_along_the_replicates() -> None:
    parameter = torch.nn.Parameter(torch.randn(5, 3, 2))
    optimizer = torch.optim.Adam([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    whole = {
        "state_dict": {"student.weight": parameter.detach(), "train_loss.count": torch.tensor(3.0)},
        "optimizer_states": [optimizer.state_dict() | {"rates": [0.1, 0.2, 0.3, 0.4, 0.5]}],
    }
    parts = [_part(whole, slice(0, 2)), _part(whole, slice(2, 5))]
    assert [len(part["state_dict"]["student.weight"]) for part in parts] == [2, 3]
    assert [part["optimizer_states"][0]["rates"] for part in parts] == [[0.1, 0.2], [0.3, 0.4, 0.5]]
    assert parts[1]["optimizer_states"][0]["param_groups"] == optimizer.state_dict()["param_groups"]
    torch.testing.assert_close(_joined(parts), whole, rtol=0, atol=0)
