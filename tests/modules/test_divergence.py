"""A replicate that diverges: it stops the run by name, or is frozen while the others train as they do alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from tests.conftest import make_data, make_module
from tests.fitting import TINY
from tsl.errors import DivergenceError, InputError
from tsl.fit import main
from tsl.modules import SGD, TeacherStudent
from tsl.runs import Run
from tsl.runs.listing import list_runs
from tsl.runs.records import read_table

Fit = Callable[..., pl.Trainer]

RATES = [0.01, 40.0, 0.02]
"""The second diverges within the first few steps."""


def trained(fit: Fit, steps: str, rates: list[float], seed: int = 0, **trainer: Any) -> TeacherStudent:
    settings = {"replicates": len(rates), "seed": seed}
    optimizer = partial(SGD, lr=rates, momentum=0.5)
    module = make_module(steps=steps, on_divergence="freeze", optimizer=optimizer, **settings)
    fit(module, make_data(steps_per_epoch=30, chunk_size=7, **settings), **({"max_epochs": 2} | trainer))
    return module


def weights(module: TeacherStudent, replicate: int) -> list[Tensor]:
    return [tensor[replicate].clone() for tensor in module.student.state_dict().values()]


@pytest.mark.parametrize("steps", ["eager", "fused"])
def test_the_others_are_bit_for_bit_what_they_are_alone(fit: Fit, steps: str) -> None:
    together = trained(fit, steps, RATES)
    assert together.diverged.tolist() == [False, True, False]
    assert together.train_loss.compute().isnan().tolist() == [False, True, False]
    for replicate in (0, 2):
        alone = trained(fit, steps, RATES[replicate : replicate + 1], seed=replicate)
        assert all(map(torch.equal, weights(together, replicate), weights(alone, 0)))
        assert together.train_loss.compute()[replicate] == alone.train_loss.compute()[0]


class Spelled(pl.Callback):
    """Takes every step by itself, so that the weights before each are known."""

    def __init__(self) -> None:
        self.finite: list[Tensor] = []
        self.frozen = False

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: TeacherStudent, *_: Any) -> None:
        self.before = weights(pl_module, 0)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: TeacherStudent, *_: Any) -> None:
        after = weights(pl_module, 0)
        loss = pl_module.train_loss.total[0]
        if not self.frozen and all(tensor.isfinite().all() for tensor in after) and loss.isfinite():
            self.finite = after
        else:
            self.finite, self.frozen = self.finite or self.before, True


@pytest.mark.parametrize("steps", ["eager", "fused"])
@pytest.mark.parametrize("rate", [1.0, 4.0, 40.0, 1e160])
def test_it_stays_as_it_was_after_its_last_finite_step(fit: Fit, steps: str, rate: float) -> None:
    """Against a run of single steps that lets it diverge, and notes its weights after each."""
    frozen = trained(fit, steps, [rate, 0.01])
    assert frozen.diverged.tolist() == [True, False]
    spelled = Spelled()
    module = make_module(steps=steps, optimizer=partial(SGD, lr=rate, momentum=0.5))
    module._report_divergence = lambda *_: None  # type: ignore[method-assign]
    fit(module, make_data(steps_per_epoch=30, chunk_size=1), max_epochs=2, callbacks=[spelled])
    assert spelled.frozen
    for value, expected in zip(weights(frozen, 0), spelled.finite, strict=True):
        assert value.isfinite().all()
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)


def test_eager_and_fused_freeze_at_the_same_step(fit: Fit) -> None:
    eager, fused = (trained(fit, steps, RATES) for steps in ("eager", "fused"))
    for one, other in zip(weights(eager, 1), weights(fused, 1), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


ARGUMENTS = [
    *(*TINY, "--replicates", "3", "--model.init_args.teacher_initialization.init_args.polarity", "0"),
    *("--model.optimizer", f"{{class_path: tsl.modules.SGD, init_args: {{lr: {RATES}}}}}"),
]


@pytest.mark.parametrize("steps", ["eager", "fused"])
def test_a_run_records_it_and_goes_on_with_it_frozen(
    tmp_path: Path, steps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*ARGUMENTS, f"--model.steps={steps}", "--model.on_divergence=freeze"]
    main([*arguments, "--trainer.default_root_dir", str(tmp_path / "whole"), "--trainer.max_epochs=3"])
    main([*arguments, "--trainer.default_root_dir", str(tmp_path / "halves"), "--trainer.max_epochs=1"])
    again = ["--trainer.max_epochs=3", "--ckpt_path=last"]
    main([*arguments, "--trainer.default_root_dir", str(tmp_path / "halves"), *again])
    whole, halves = (tmp_path / name / "tiny/version_0" for name in ("whole", "halves"))
    for table in ("losses", "teacher_nodes", "layers", "replicates"):
        pd.testing.assert_frame_equal(read_table(whole, table), read_table(halves, table), check_exact=True)
    assert read_table(whole, "replicates")["diverged"].tolist() == [False, True, False]
    losses = read_table(whole, "losses").set_index(["epoch", "replicate"])
    assert losses["train_loss"].loc[1:].isna().tolist() == [False, True, False] * 3
    assert [group.varying["diverged"] for group in Run(whole).groups] == [False, True, False]
    assert len(list_runs(tmp_path / "whole")) == 3
    logged = pd.read_csv(whole / "metrics.csv")
    of_diverged = logged.loc[logged["epoch"] > 0].filter(like="lr=40")
    assert len(of_diverged.columns) > 4
    assert of_diverged.isna().all(axis=None)
    stop = ["--model.on_divergence=stop", "--trainer.default_root_dir", str(tmp_path / "halves"), "--ckpt_path=last"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, *stop, "--trainer.max_epochs=4"])
    assert "replicates [1] of the checkpoint diverged and are frozen: set model" in capsys.readouterr().err


def test_a_run_that_stopped_goes_on_without_that_replicate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its schedule makes one replicate diverge in the second epoch; the checkpoint is of the first."""
    schedule = "{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 1, gamma: 60}}"
    arguments = [*ARGUMENTS[:-1], "{class_path: tsl.modules.SGD, init_args: {lr: [1e-5, 0.1, 2e-5]}}"]
    arguments += ["--model.lr_scheduler", schedule, "--trainer.default_root_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    message = capsys.readouterr().err
    assert "not finite in epoch 2, replicates 1 (lr=0.1): lower the learning rate" in message
    assert "resume with --model.init_args.on_divergence freeze --ckpt_path last" in message
    main([*arguments, "--model.init_args.on_divergence", "freeze", "--ckpt_path", "last"])
    run = tmp_path / "tiny/version_0"
    assert read_table(run, "losses")["train_loss"].isna().tolist() == [True] * 3 + [False] * 4 + [True, False]
    assert read_table(run, "replicates")["diverged"].tolist() == [False, True, False]


def test_a_run_ends_when_all_diverged(fit: Fit) -> None:
    with pytest.raises(DivergenceError, match=r"not finite in epoch 1, all 2 replicates: lower the learning rate"):
        trained(fit, "fused", [1e160, 1e160])


def test_several_processes_are_refused(fit: Fit) -> None:
    module = make_module(on_divergence="freeze", steps="eager")
    module._trainer = type("Two", (), {"world_size": 2})()
    with pytest.raises(InputError, match=r"on_divergence = freeze needs a single process, but there are .*: set"):
        module.configure_optimizers()


def test_losses_have_one_type_in_all_epochs(tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs=1"])
    frame = pd.read_parquet(tmp_path / "tiny/version_0/records/losses")
    assert {str(frame[name].dtype) for name in ("train_loss", "val_loss", "val_mse")} == {"float64"}
