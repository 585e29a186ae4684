"""A run that was stopped goes on as if it had not been; what is damaged is named, and the rest is used."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.fitting import ROOT, TINY, assert_same_records, contents, weights
from tsl.errors import InputError
from tsl.fit import main
from tsl.format import FORMAT, FORMAT_KEY
from tsl.modules.load_run import load_run
from tsl.runs import Run
from tsl.runs.directory import check_name, command_to_resume
from tsl.runs.status import StatusFile, read_status

Fit = Callable[..., Path]


@pytest.fixture
def tsl_fit(tmp_path: Path) -> Fit:
    """Run the tiny configuration with further arguments; gives the directory of its runs."""

    def run(*arguments: str) -> Path:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path), *arguments])
        return tmp_path / "tiny"

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 epochs, `whole`, and one of 3, `longer`, in a directory of runs."""
    root = tmp_path_factory.mktemp("trained")
    for version, epochs in (("whole", "2"), ("longer", "3")):
        main([*TINY, "--trainer.default_root_dir", str(root), "--trainer.max_epochs", epochs, "--version", version])
    return root


def assert_same_run(first: Path, second: Path) -> None:
    assert all(torch.equal(tensor, weights(second)[name]) for name, tensor in weights(first).items())
    assert_same_records(first, second)
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


def go_on(run: Path, *arguments: str) -> None:
    root = ["--trainer.default_root_dir", str(run.parents[1]), "--version", run.name, "--trainer.max_epochs", "3"]
    main([*TINY, *root, "--ckpt_path", "last", *arguments])


def test_max_steps_within_an_epoch_loses_nothing(tsl_fit: Fit) -> None:
    epochs = ("--trainer.max_epochs", "4")
    runs = tsl_fit(*epochs, "--version", "whole")
    tsl_fit(*epochs, "--version", "cut", "--trainer.max_steps", "13")
    assert Run(runs / "cut").table("losses")["epoch"].max() == 2
    tsl_fit(*epochs, "--version", "cut", "--trainer.max_steps", "19", "--ckpt_path", "last")
    assert Run(runs / "cut").table("losses")["epoch"].max() == 3
    tsl_fit(*epochs, "--version", "cut", "--ckpt_path", "last")
    assert_same_run(runs / "whole", runs / "cut")


class OutOfTime(pl.Callback):
    """Uses up the time that `trainer.max_time` gives within epoch 2."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 11:
            timer = next(each for each in trainer.callbacks if isinstance(each, pl.callbacks.Timer))
            timer._offset = 1e6


def test_max_time_within_an_epoch_loses_nothing(tsl_fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    epochs = ("--trainer.max_epochs", "4")
    runs = tsl_fit(*epochs, "--version", "whole")
    callback = ("--trainer.callbacks", f"{__name__}.OutOfTime", "--trainer.max_time", "00:01:00:00")
    tsl_fit(*epochs, *callback, "--version", "cut")
    run = Run(runs / "cut")
    assert (run.state, run.table("losses")["epoch"].max()) == ("resumable", 2)
    assert f"to go on: {command_to_resume(run.path)} --trainer.max_time null" in capsys.readouterr().out
    tsl_fit(*epochs, "--version", "cut", "--ckpt_path", "last")
    assert_same_run(runs / "whole", runs / "cut")
    assert Run(runs / "cut").state == "complete"


@pytest.mark.parametrize("kind", ["half", "tensor", "weights", "code", "newer"])
def test_a_checkpoint_that_cannot_be_used_is_named(
    kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / "runs") / "tiny/whole"
    path = run / "checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    if kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        held = {"tensor": torch.ones(3), "weights": content["state_dict"], "code": content | {"hook": Malicious(run)}}
        torch.save(held.get(kind, content | {FORMAT_KEY: FORMAT + 1}), path)
    before = contents(run)
    with pytest.raises(SystemExit) as stopped:
        go_on(run)
    assert stopped.value.code == 2
    reason = {"half": "damaged", "code": "more than tensors", "newer": "newer tsl (format 2; this one reads up to 1)"}
    assert f"error: --ckpt_path {path}" in (message := capsys.readouterr().err)
    assert reason.get(kind, "holds no epoch") in message
    assert contents(run) == before


class Malicious:
    """What a pickle runs when it is read: it leaves a file."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "ran")

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("rest", ["3,24,0.5", "\0" * 40, "2,1"])
def test_a_last_row_of_metrics_that_is_cut_off_is_dropped(rest: str, trained: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(trained, tmp_path / "runs") / "tiny"
    with (runs / "whole/metrics.csv").open("a") as file:
        file.write(rest)
    go_on(runs / "whole")
    assert_same_run(runs / "longer", runs / "whole")


@pytest.mark.parametrize(
    "content", ["".encode("utf-16"), "model: {}\n".encode("utf-16"), b"model:\n\t- 1\n", b"", b"1"]
)
def test_a_damaged_config_is_named(
    content: bytes, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / "runs") / "tiny/whole"
    (run / "config.yaml").write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        go_on(run)
    assert stopped.value.code == 2
    assert f"{run}/config.yaml is damaged: " in capsys.readouterr().err


@pytest.mark.parametrize("status", [{"state": 3, "pid": []}, {"state": None, "started": {}}, [], {"tsl_format": "x"}])
def test_strange_files_beside_those_of_the_run_change_nothing(status: Any, trained: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(trained, tmp_path / "runs") / "tiny"
    (runs / "whole/status.json").write_text(json.dumps(status))
    (runs / "whole/records/losses/epoch_x.parquet").write_bytes(b"PAR1")
    (runs / "whole/checkpoints/.123.last.ckpt").write_bytes(b"half a checkpoint of a process that was killed")
    assert Run(runs / "whole").state in ("resumable", "complete")
    go_on(runs / "whole")
    assert_same_run(runs / "longer", runs / "whole")
    assert [path.name for path in (runs / "whole/checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_stopped_before_its_first_checkpoint_starts_over(resumed: bool, trained: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(trained, tmp_path / "runs") / "tiny"
    shutil.rmtree(runs / "whole/checkpoints")
    status = read_status(runs / "whole")
    (runs / "whole/status.json").write_text(json.dumps(status | {"state": "running"}))
    root = ["--trainer.default_root_dir", str(tmp_path / "runs"), "--version", "whole", "--trainer.max_epochs", "3"]
    main([*TINY, *root, *(["--ckpt_path", "last"] if resumed else [])])
    assert_same_run(runs / "longer", runs / "whole")


@pytest.mark.parametrize("setting", ["trainer: {enable_checkpointing: false}", "checkpoint: {dirpath: elsewhere}"])
def test_records_of_a_run_that_keeps_no_checkpoints_are_not_written_over(
    setting: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / "runs") / "tiny/whole"
    shutil.rmtree(run / "checkpoints")
    (run / "config.yaml").write_text(setting)
    (run / "status.json").write_text('{"state": "running"}')
    before = contents(run)
    with pytest.raises(SystemExit):
        main([*TINY, "--trainer.default_root_dir", str(tmp_path / "runs"), "--version", "whole"])
    assert f"{run} already holds a run: choose another version" in capsys.readouterr().err
    assert contents(run) == before


def test_checkpoints_of_another_run_are_not_written_over(
    tsl_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    dirpath = ["--checkpoint.dirpath", str(kept)]
    tsl_fit("--version", "first", *dirpath)
    before = contents(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        tsl_fit("--version", "second", "--seed_everything", "5", *dirpath)
    assert stopped.value.code == 2
    assert f"error: checkpoint.dirpath = {kept} holds checkpoints of another run" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("arguments", [[], ["--ckpt_path", "last"]])
def test_a_run_that_is_running_is_not_started_again(
    arguments: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / "runs") / "tiny/whole"
    status = StatusFile(run).begin("cpu")
    before = contents(run)
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path / "runs"), "--version", "whole", *arguments])
    assert stopped.value.code == 2
    assert f"error: {run} is running, in process {os.getpid()} on " in capsys.readouterr().err
    assert contents(run) == before
    with pytest.raises(InputError, match="is running, in process"):
        StatusFile(run)
    status.end("resumable")


def test_a_run_of_a_newer_tsl_is_refused(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "runs") / "tiny/whole"
    assert read_status(run)[FORMAT_KEY] == FORMAT
    (run / "status.json").write_text(json.dumps(read_status(run) | {FORMAT_KEY: FORMAT + 1}))
    with pytest.raises(InputError, match=re.escape("newer tsl (format 2; this one reads up to 1): update tsl")):
        _ = Run(run).config


class RemovesItsRun(pl.Callback):
    """Removes the run's directory within epoch 2."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 11:
            shutil.rmtree(str(trainer.log_dir))


@pytest.mark.parametrize("evaluation", [[], ["--trainer.check_val_every_n_epoch", "5"]])
def test_a_run_whose_directory_is_removed_ends(
    evaluation: list[str], tsl_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        tsl_fit("--trainer.callbacks", f"{__name__}.RemovesItsRun", "--version", "gone", *evaluation)
    assert stopped.value.code == 2
    run = tmp_path / "tiny/gone"
    assert f"error: the run's directory {run} was removed or moved while" in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "..", ".", "", ".x", "a\nb", "a/b", "a\\b", "x" * 300, "ж" * 150, "~"]
)
def test_a_name_is_that_of_one_folder(name: str) -> None:
    with pytest.raises(InputError, match=r"--version .*: expected the name of one folder"):
        check_name("--version", name)


@pytest.mark.parametrize("setting", ["--version", "--experiment"])
def test_a_run_cannot_leave_its_root(
    setting: str, tsl_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        tsl_fit(setting, "../../x")
    assert stopped.value.code == 2
    assert f"error: {setting} '../../x': expected the name of one folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["version_0", "two layers, 10x", "E2=quick", "x" * 200, "ρ"])
def test_other_names_are_allowed(name: str) -> None:
    check_name("--version", name)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    main([*TINY, "--trainer.default_root_dir=~/runs", "--version", "first"])
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    run = Run("~/runs/tiny/first")
    assert run.path == tmp_path / "home/runs/tiny/first"
    assert run.settings["trainer.default_root_dir"] == str(tmp_path / "home/runs")
    assert (run.path / "metrics.csv").exists()


def test_a_run_of_this_format_stays_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture is a run of 2 epochs of format 1, of tsl 0.1.0; `run_before_rooms` is one without a format."""
    shutil.copytree(ROOT / "tests/fixtures/run_of_format_1", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)  # to which its default_root_dir is relative
    run = Run("runs/tiny/first")
    assert (run.state, run.recorded_epochs("layers")) == ("complete", [0, 1, 2])
    assert load_run(run.path).module.student.widths == [8]
    main(["--config", "runs/tiny/first/config.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    assert run.recorded_epochs("layers") == [0, 1, 2, 3]
