"""Runs that are started in Python: the same records as from the command line, and settings that name every object."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
import torch
import yaml

from tests.fitting import TINY, assert_same_records
from tsl.callbacks import for_run
from tsl.callbacks.described import UNKNOWN, described
from tsl.data import Gaussian, SyntheticDataModule
from tsl.figures.__main__ import main as draw
from tsl.fit import main
from tsl.modules import Milestones, TeacherStudent, mse
from tsl.modules.load_run import load_run
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization, WithWidths
from tsl.runs import Run
from tsl.runs.listing import list_runs
from tsl.runs.settings import differences


def from_python(root: Path) -> Path:
    """What tests/tiny.yaml says, laid over configs/two_layer.yaml."""
    module = TeacherStudent(
        teacher=partial(MLP, input_dim=6, widths=[4], output_dim=3),
        teacher_initialization=SeparableInitialization(polarity=1, bias=-0.1),
        student_initialization=GaussianInitialization(std=0.005),
        student=LikeTeacher(multiplier=2),
        replicates=2,
    )
    sizes = {"dim": 6, "train_size": 60, "val_size": 50, "batch_size": 5, "steps_per_epoch": 8, "chunk_size": 3}
    data = SyntheticDataModule(Gaussian(std=1.5), replacement=True, replicates=2, **sizes)
    quiet = {"accelerator": "cpu", "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, precision="64-true", **quiet, **for_run(root, "tiny", "python", progress=False))
    trainer.fit(module, data)
    return root / "tiny/python"


def test_a_run_from_python_equals_one_from_the_command_line(tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--version", "command"])
    command, python = tmp_path / "tiny/command", from_python(tmp_path)
    assert_same_records(command, python)
    metrics = [pd.read_csv(run / "metrics.csv") for run in (command, python)]
    pd.testing.assert_frame_equal(*metrics, check_like=True)
    said = [yaml.safe_load((run / "config.yaml").read_text()) for run in (command, python)]
    for group in ("model", "data", "seed_everything", "replicates", "experiment"):
        assert said[0][group] == said[1][group]
    assert differences([Run(run).settings for run in (command, python)], ["records."]) == {}
    assert {row["state"] for row in list_runs(tmp_path)} == {"complete"}
    assert {row["epoch"] for row in list_runs(tmp_path)} == {"2/2"}
    assert len(Run(python).table("teacher_nodes")) == 3 * 2 * 4
    for ours, theirs in zip(load_run(python).module.parameters(), load_run(command).module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert draw(["l-shape", str(python), "--out", str(tmp_path / "figure.png")]) == 0
    main(["--config", str(python / "config.yaml"), "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    assert Run(python).state == "complete"


class Kept:
    """Keeps one of its arguments."""

    def __init__(self, here: int, gone: int, given: int = 3) -> None:
        self.here, self.given = here, given


def test_objects_are_described_by_their_constructors() -> None:
    name = f"{Kept.__module__}.Kept"
    assert described(Kept(1, 2)) == {"class_path": name, "init_args": {"here": 1, "gone": UNKNOWN, "given": 3}}
    assert described(mse) == "tsl.modules.mse"
    assert described(lambda x: x) == UNKNOWN
    assert described(WithWidths([3], dropout=0.1))["init_args"]["widths"] == [3]
    optimizer = described(partial(torch.optim.SGD, lr=0.5))
    assert optimizer["class_path"] == "torch.optim.SGD"
    assert (optimizer["init_args"]["lr"], optimizer["init_args"]["momentum"]) == (0.5, 0)
    schedule = described(partial(Milestones, milestones={0: 0.1}))
    assert schedule == {"class_path": "tsl.modules.Milestones", "init_args": {"milestones": {0: 0.1}}}
