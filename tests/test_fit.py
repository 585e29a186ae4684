import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.fitting import ROOT, TINY, assert_same_records, weights
from tsl.data import InputDistribution
from tsl.fit import main
from tsl.modules.load_run import load_run
from tsl.replicates import PerReplicate
from tsl.runs import Run
from tsl.runs.records import COLUMNS, read_table


@pytest.fixture
def tsl_fit(tmp_path: Path) -> Callable[..., Path]:
    """Run the tiny configuration with further arguments; gives the directory of all runs."""

    def run(*arguments: str) -> Path:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path), *arguments])
        return tmp_path

    return run


def test_a_run_directory_holds_what_was_promised_and_the_outcome_is_told(
    tsl_fit: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tsl_fit() / "tiny/version_0"
    assert {path.name for path in run.iterdir()} == {
        *("config.yaml", "status.json", "metrics.csv", "checkpoints", "records")
    }
    for table in ("teacher_nodes", "student_nodes", "layers", "losses"):
        records = read_table(run, table)
        assert list(records["epoch"].unique()) == [0, 1, 2]
        assert set(COLUMNS[table]) <= set(records)
    assert len(read_table(run, "teacher_nodes")) == 3 * 2 * 4
    assert len(read_table(run, "student_nodes")) == 3 * 2 * 8
    metrics = pd.read_csv(run / "metrics.csv")
    assert sorted(metrics["epoch"].unique()) == [0, 1, 2]
    assert sorted(metrics["step"].unique()) == [0, 8, 16]
    promised = ("train/loss", "val/loss", "specialization/layer1/rho_mean", "specialization/layer1/recovered_0.95")
    assert {*promised, *(f"{name}_std" for name in promised)} <= set(metrics)
    told = capsys.readouterr().out
    assert "Specialization of student nodes to teacher nodes" in told
    assert str(run) in told.replace("\n", "")


def test_logged_scalars_are_the_means_of_the_records(tsl_fit: Callable[..., Path]) -> None:
    run = tsl_fit() / "tiny/version_0"
    metrics, losses, layers = pd.read_csv(run / "metrics.csv"), read_table(run, "losses"), read_table(run, "layers")
    for epoch in range(3):
        logged = metrics[metrics["epoch"] == epoch].max()
        of_epoch = losses[losses["epoch"] == epoch]
        assert logged["val/loss"] == pytest.approx(of_epoch["val_loss"].mean(), rel=1e-6)
        assert logged["val/loss_std"] == pytest.approx(of_epoch["val_loss"].std(), rel=1e-6)
        if epoch:
            assert logged["train/loss"] == pytest.approx(of_epoch["train_loss"].mean(), rel=1e-6)
        rho = layers[layers["epoch"] == epoch]["rho_mean"].mean()
        assert logged["specialization/layer1/rho_mean"] == pytest.approx(rho, rel=1e-6)


def test_the_saved_config_repeats_the_run(tsl_fit: Callable[..., Path], tmp_path: Path) -> None:
    first = tsl_fit("--model.multiplier", "3") / "tiny/version_0"
    main(["--config", str(first / "config.yaml"), "--experiment", "again"])
    assert_same_records(first, tmp_path / "again/version_0")
    config = yaml.safe_load((first / "config.yaml").read_text())
    assert {"seed_everything", "trainer", "model", "data", "replicates", "experiment"} <= set(config)
    assert config["model"]["init_args"]["student"]["init_args"]["multiplier"] == 3


def test_replicates_and_seed_are_said_once(tsl_fit: Callable[..., Path]) -> None:
    pair = tsl_fit("--seed_everything", "5", "--version", "pair") / "tiny/pair"
    alone = tsl_fit("--seed_everything", "6", "--replicates", "1", "--version", "alone") / "tiny/alone"
    for table in ("teacher_nodes", "losses"):
        second = read_table(pair, table).query("replicate == 1").reset_index(drop=True).assign(replicate=0)
        pd.testing.assert_frame_equal(second, read_table(alone, table), rtol=1e-9)


def test_resuming_is_exact(tsl_fit: Callable[..., Path]) -> None:
    """Stopped after epoch 3 and resumed, against never stopped: the same weights bit for bit, and the same records."""
    root = tsl_fit("--trainer.max_epochs", "6", "--version", "whole")
    tsl_fit("--trainer.max_epochs", "3", "--version", "stopped")
    tsl_fit("--trainer.max_epochs", "6", "--version", "stopped", "--ckpt_path", "last")
    whole, stopped = root / "tiny/whole", root / "tiny/stopped"
    assert {path.name for path in (root / "tiny").iterdir()} == {"whole", "stopped"}
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(stopped)[name])
    assert_same_records(whole, stopped)
    assert (whole / "metrics.csv").read_text() == (stopped / "metrics.csv").read_text()


def test_resuming_repeats_what_was_written_after_the_checkpoint(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--trainer.max_epochs", "4", "--version", "whole")
    every = ("--checkpoint.filename", "null", "--checkpoint.save_top_k", "-1")
    tsl_fit("--trainer.max_epochs", "4", "--version", "cut", *every)
    checkpoint = next((root / "tiny/cut/checkpoints").glob("epoch=1-*.ckpt"))
    tsl_fit("--trainer.max_epochs", "4", "--ckpt_path", str(checkpoint))
    assert_same_records(root / "tiny/whole", root / "tiny/cut")
    assert (root / "tiny/whole/metrics.csv").read_text() == (root / "tiny/cut/metrics.csv").read_text()


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")  # the state after a chunk is meant
def test_resuming_within_an_epoch_is_exact(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--trainer.max_epochs", "3", "--version", "whole")
    every = ("--checkpoint.every_n_train_steps", "1", "--checkpoint.filename", "null", "--checkpoint.save_top_k", "-1")
    settings = ("--trainer.max_epochs", "3", "--checkpoint.save_last", "true", *every)
    tsl_fit(*settings, "--version", "cut")
    checkpoint = root / "tiny/cut/checkpoints/epoch=1-step=14.ckpt"  # after 2 of 3 chunks
    assert checkpoint.exists(), list(checkpoint.parent.iterdir())
    tsl_fit(*settings, "--ckpt_path", str(checkpoint))
    for name, tensor in weights(root / "tiny/whole").items():
        assert torch.equal(tensor, weights(root / "tiny/cut")[name])
    assert_same_records(root / "tiny/whole", root / "tiny/cut")  # the mean training loss of the whole epoch too


def test_fast_dev_run_leaves_nothing_behind(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--trainer.fast_dev_run", "true")
    assert list(root.iterdir()) == []


def test_without_checkpoints_and_loggers(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--trainer.enable_checkpointing", "false", "--trainer.logger", "false")
    assert {path.name for path in (root / "tiny/version_0").iterdir()} == {"config.yaml", "status.json", "records"}


def test_the_lowest_precision_trains_and_accumulates_in_the_highest(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--trainer.precision", "bf16-true", "--data.init_args.eval_batch_size", "7")
    assert weights(root / "tiny/version_0")["student.layers.0.weight"].dtype == torch.bfloat16
    losses = read_table(root / "tiny/version_0", "losses")
    assert (losses["val_loss"] > 0).all()
    assert (losses["val_loss"] != losses["val_loss"].astype("float32")).any()  # a sum in float64


def test_barebones_is_refused(tsl_fit: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tsl_fit("--trainer.barebones", "true")
    assert "error: trainer.barebones: expected false" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_works_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tsl.fit", *TINY, "--trainer.default_root_dir", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "tiny/version_0/records/losses/epoch_00002.parquet").exists()


def test_training_without_evaluation(tsl_fit: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = tsl_fit("--trainer.limit_val_batches", "0")
    assert f"run written to {root / 'tiny/version_0'}" in capsys.readouterr().out.replace("\n", "")


MILESTONES = "{class_path: tsl.modules.Milestones, init_args: {milestones: {0: 0.05, 3: 0.01}}}"
MOMENTUM = "{class_path: torch.optim.SGD, init_args: {lr: 1, momentum: 0.9, weight_decay: 0.001}}"


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        ("tsl.modules.mse", "tsl.modules.mse"),
        ("tsl.modules.cross_entropy", "tsl.modules.cross_entropy"),
        ("{class_path: tsl.modules.KL, init_args: {temperature: 4}}", {"temperature": 4}),
    ],
)
def test_losses_are_named_by_function_or_by_class(tsl_fit: Callable[..., Path], loss: str, named: object) -> None:
    run = tsl_fit("--model.init_args.loss", loss, "--trainer.max_epochs", "1") / "tiny/version_0"
    saved = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["loss"]
    assert (saved["init_args"] if isinstance(saved, dict) else saved) == named
    module, data, _ = load_run(run)
    (inputs,) = data.val_dataloader()[0]
    with torch.no_grad():
        student, teacher = module.student(inputs), module.teacher(inputs)
    expected = {
        "tsl.modules.mse": lambda: (student - teacher).square().mean(dim=(1, 2)),
        "tsl.modules.cross_entropy": lambda: torch.stack(
            [torch.nn.functional.cross_entropy(student[r], teacher[r].argmax(dim=-1)) for r in range(2)]
        ),
    }.get(
        str(named),
        lambda: (
            16
            * torch.nn.functional.kl_div(
                (student / 4).log_softmax(dim=-1), (teacher / 4).softmax(dim=-1), reduction="none"
            )
            .sum(dim=-1)
            .mean(dim=-1)
        ),
    )()
    recorded = read_table(run, "losses").query("epoch == 1")
    np.testing.assert_allclose(recorded["val_loss"], expected, rtol=1e-9)
    np.testing.assert_allclose(recorded["val_mse"], (student - teacher).square().mean(dim=(1, 2)), rtol=1e-9)


def test_resuming_with_milestones_and_momentum_is_exact(tsl_fit: Callable[..., Path]) -> None:
    settings = ("--model.init_args.lr_scheduler", MILESTONES, "--model.init_args.optimizer", MOMENTUM)
    root = tsl_fit(*settings, "--trainer.max_epochs", "5", "--version", "whole")
    tsl_fit(*settings, "--trainer.max_epochs", "2", "--version", "stopped")
    main(["--config", str(root / "tiny/stopped/config.yaml"), "--trainer.max_epochs", "5", "--ckpt_path", "last"])
    for name, tensor in weights(root / "tiny/whole").items():
        assert torch.equal(tensor, weights(root / "tiny/stopped")[name])
    assert_same_records(root / "tiny/whole", root / "tiny/stopped")


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        (["--total_samples", "120"], 3),  # 8 steps of 5 inputs
        (["--total_samples", "1_80", "--data.init_args.steps_per_epoch", "null"], 3),  # 60 inputs
    ],
)
def test_a_budget_of_samples_sets_the_epochs(tsl_fit: Callable[..., Path], settings: list[str], epochs: int) -> None:
    run = tsl_fit(*settings, "--trainer.max_epochs", "null") / "tiny/version_0"
    assert read_table(run, "losses")["epoch"].max() == epochs
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == epochs
    main(["--config", str(run / "config.yaml"), "--experiment", "again"])  # which says both, and they agree
    assert_same_records(run, run.parents[1] / "again/version_0")


def test_a_longer_budget_goes_on_with_the_same_run(tsl_fit: Callable[..., Path]) -> None:
    root = tsl_fit("--total_samples", "80", "--trainer.max_epochs", "null")
    tsl_fit("--total_samples", "160", "--trainer.max_epochs", "null", "--ckpt_path", "last")
    assert list(read_table(root / "tiny/version_0", "losses")["epoch"].unique()) == [0, 1, 2, 3, 4]


def test_settings_that_differ_along_the_replicates_are_recorded(tsl_fit: Callable[..., Path]) -> None:
    std, polarity = "--model.student_initialization.std", "--model.teacher_initialization.polarity"
    own = ["--data.distribution", f"{__name__}.Scaled", "--data.distribution.factor", "[1, 1, 2, 2]"]
    root = tsl_fit("--replicates", "4", "--seed_everything", "3", std, "[0.1, 0.2]", polarity, "1", *own)
    run = Run(root / "tiny/version_0")
    of_student = "model.init_args.student_initialization.init_args.std"
    of_inputs = "data.init_args.distribution.init_args.factor"
    rows = {"replicate": [0, 1, 2, 3], "seed": [3, 4, 5, 6], of_student: [0.1, 0.2] * 2, of_inputs: [1.0, 1, 2, 2]}
    assert run.replicates.to_dict("list") == rows
    tsl_fit("--seed_everything", "5", "--replicates", "1", std, "0.1", polarity, "1", *own[:3], "2")
    alone = Run(root / "tiny/version_1")
    last = run.table("losses").query("replicate == 2")["val_mse"].to_numpy()
    np.testing.assert_allclose(last, alone.table("losses")["val_mse"], rtol=1e-9)


class Scaled(InputDistribution):
    """An own distribution whose factor may differ along the replicates."""

    def __init__(self, factor: PerReplicate[float] = 1.0) -> None:
        self.factor = factor

    def sample(self, count: int, dim: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(count, dim, generator=generator, dtype=torch.float64) * self.factor
