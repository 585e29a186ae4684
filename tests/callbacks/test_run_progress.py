"""What the progress of a run tells, on a terminal and elsewhere."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from rich.console import Console

from tests.conftest import make_data, make_module
from tests.fitting import TINY
from tsl.callbacks import RunProgress, SpecializationRecords, run_progress
from tsl.callbacks.run_progress import Clock, fraction_done
from tsl.fit import main
from tsl.modules import TeacherStudent

Fit = Callable[..., pl.Trainer]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A time that stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(run_progress.time, "monotonic", lambda: now[0])
    return now


def test_the_rate_is_of_training_and_the_time_left_of_everything(clock: list[float]) -> None:
    of_run = Clock()
    of_run.start(fraction=0.2, step=1000)
    assert of_run.steps_per_second(1000) is None
    assert of_run.seconds_left(0.2) is None
    clock[0] += 8
    of_run.pause()
    clock[0] += 2  # an evaluation
    of_run.go_on()
    assert of_run.steps_per_second(1400) == 400 / 8
    assert of_run.training_share() == 8 / 10
    assert of_run.seconds_left(0.3) == pytest.approx(70)  # a tenth took 10 s, and seven tenths are left


def told(trainer_settings: dict, fit: Fit, console: Console, **module: object) -> tuple[str, pl.Trainer]:
    data = make_data(steps_per_epoch=6, chunk_size=2, replicates=2)
    callbacks = [SpecializationRecords(), RunProgress(console)]
    settings = {"callbacks": callbacks, "num_sanity_val_steps": -1, "enable_progress_bar": True} | trainer_settings
    trainer = fit(make_module(replicates=2, **module), data, **settings)
    return console.file.getvalue(), trainer  # type: ignore[attr-defined]


def test_plain_lines_where_there_is_no_terminal(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "BETWEEN_EPOCHS", 0.0)
    out, trainer = told({"max_epochs": 2}, fit, Console(file=io.StringIO(), soft_wrap=True))
    lines = out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch 0/2", "epoch 1/2", "epoch 2/2"]
    assert re.fullmatch(r"epoch 0/2, val loss \S+, ρ_mean 0\.\d{3}", lines[0])
    told_of_one = r"epoch 1/2, train loss \S+, val loss \S+, ρ_mean 0\.\d{3}, [\d,]+ student-steps/s, \d:\d\d:\d\d left"
    assert re.fullmatch(told_of_one, lines[1])
    logged = trainer.callback_metrics
    last = f"train loss {logged['train/loss']:.3g}, val loss {logged['val/loss']:.3g}, "
    last += f"ρ_mean {logged['specialization/layer1/rho_mean']:.3f}, "
    assert last in lines[2]
    assert "left" not in lines[2]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out)  # nothing but line ends


def test_a_mean_over_settings_says_so(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "BETWEEN_EPOCHS", 0.0)
    groups = {"polarity=0": [0], "polarity=1": [1]}
    fixed = property(lambda _: groups, lambda *_: None)
    monkeypatch.setattr(TeacherStudent, "replicate_groups", fixed, raising=False)
    out, _ = told({"max_epochs": 1}, fit, Console(file=io.StringIO(), soft_wrap=True))
    assert all("(mean over 2 settings)" in line for line in out.splitlines())


def test_student_steps_are_optimizer_steps_times_replicates(fit: Fit, clock: list[float]) -> None:
    class Later(pl.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            clock[0] += 30.0

    callbacks = [Later(), RunProgress(console := Console(file=io.StringIO(), soft_wrap=True))]
    told({"max_epochs": 1, "callbacks": callbacks}, fit, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    # 3 chunks of 2 steps of 2 replicates, 30 s each; a line a minute within an epoch.
    assert [line.split(",")[0] for line in lines] == ["epoch 0/1", "epoch 1/1 (67%)", "epoch 1/1"]
    assert "0 student-steps/s, 0:00:30 left" in lines[1]


def test_lines_keep_their_distance(fit: Fit, clock: list[float]) -> None:
    out, _ = told({"max_epochs": 5}, fit, Console(file=io.StringIO(), soft_wrap=True))
    assert [line.split(",")[0] for line in out.splitlines()] == ["epoch 0/5", "epoch 5/5"]


def test_one_bar_for_all_epochs_on_a_terminal(fit: Fit) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    out, trainer = told({"max_epochs": 2}, fit, console)
    last = out.split("\r")[-1]
    assert "epoch 2/2" in last
    epochs = re.findall(r"epoch (\d)/2", out)
    assert epochs == sorted(epochs)
    assert f"ρ_mean {trainer.callback_metrics['specialization/layer1/rho_mean']:.3f}" in re.sub(
        r"\x1b\[[\d;]*m", "", last
    )
    assert "student-steps/s" in last


def test_a_run_without_an_end_tells_no_time_left(fit: Fit) -> None:
    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.should_stop = True

    console = Console(file=io.StringIO(), soft_wrap=True)
    told({"max_epochs": -1, "callbacks": [Stop(), RunProgress(console)]}, fit, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[-1].startswith("epoch 1, ")
    assert "left" not in lines[-1]


def test_steps_may_end_a_run_too(fit: Fit) -> None:
    _, trainer = told({"max_epochs": 100, "max_steps": 8}, fit, Console(file=io.StringIO()))
    assert fraction_done(trainer) == 1.0


SHOWN = ["--trainer.enable_progress_bar", "true", "--trainer.fast_dev_run", "true"]


def test_runs_of_fit_tell_their_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, *SHOWN, "--trainer.default_root_dir", str(tmp_path)])
    written = capsys.readouterr()
    assert "epoch 1/1, train loss" in written.out
    assert "GPU available" not in written.out + written.err
    assert "litlogger" not in written.out + written.err


def test_no_progress_where_it_is_switched_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, *SHOWN, "--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", str(tmp_path)])
    assert "epoch" not in capsys.readouterr().out


def test_an_own_progress_bar_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_path = f"{TQDMProgressBar.__module__}.TQDMProgressBar"
    own = ["--trainer.callbacks+", class_path]
    main([*TINY, *SHOWN, *own, "--trainer.default_root_dir", str(tmp_path)])
    written = capsys.readouterr()
    assert "student-steps/s" not in written.out
    assert "it/s" in written.out + written.err
