"""A start that is refused leaves a run as it was, and no folder of a new one."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from tests.conftest import make_data, make_module
from tests.fitting import TINY, assert_same_records, contents
from tsl.callbacks import for_run
from tsl.errors import InputError
from tsl.fit import main
from tsl.modules import TeacherStudent
from tsl.runs import Run


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of 3 epochs."""
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "3"])
    return tmp_path / "tiny/version_0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trainer.max_epochs", "2"], "--trainer.max_epochs 2: the checkpoint already has 3 epochs"),
        (["--model.multiplier", "3"], "was run with other settings"),
    ],
)
def test_a_run_that_cannot_go_on_stays_as_it_was(
    finished: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tmp_path)
    settings = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "3", "--ckpt_path", "last"]
    with pytest.raises(SystemExit):
        main([*TINY, *settings, *arguments])
    assert message in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_run_whose_checkpoint_is_of_other_networks_stays_as_it_was(finished: Path, tmp_path: Path) -> None:
    config = finished / "config.yaml"
    config.write_text(config.read_text().replace("multiplier: 2.0", "multiplier: 3.0"))
    before = contents(tmp_path)
    with pytest.raises(SystemExit):
        main(["--config", str(config), "--ckpt_path", "last", "--trainer.max_epochs", "4"])
    assert contents(tmp_path) == before


def test_a_run_whose_data_file_has_changed_stays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, root = tmp_path / "inputs.npy", tmp_path / "runs"
    np.save(inputs, np.random.default_rng(0).normal(size=(200, 6)))
    data = ["--data.distribution", "tsl.data.TensorFile", "--data.distribution.path", str(inputs)]
    data += ["--data.val_distribution", "tsl.data.Gaussian"]
    arguments = [*TINY, "--trainer.default_root_dir", str(root), *data]
    main(arguments)
    before = contents(root)
    for size, message in (((200, 7), "has 7 columns"), ((20, 6), "has 20 rows to draw from")):
        np.save(inputs, np.random.default_rng(0).normal(size=size))
        with pytest.raises(SystemExit):
            main([*arguments, "--ckpt_path", "last", "--trainer.max_epochs", "3"])
        assert message in capsys.readouterr().err
        assert contents(root) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data.dim", "7"],
        ["--model.student.batch_norm", "before", "--data.batch_size", "1"],
        ["--trainer.callbacks", "tsl.callbacks.CertificateRecords"],
        ["--model.trained_layers", "[5]"],
        ["--trainer.gradient_clip_val", "1"],
    ],
)
def test_a_new_run_that_is_refused_leaves_no_folder(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*TINY, "--trainer.default_root_dir", str(tmp_path / "runs"), *arguments])
    assert not (tmp_path / "runs").exists()


class FailsAtTheEvaluation(TeacherStudent):
    """Goes wrong after the run's first files are written."""

    def on_validation_epoch_end(self) -> None:
        raise InputError("this evaluation fails")


def trained(root: Path, module: pl.LightningModule, **settings: Any) -> pl.Trainer:
    quiet = {"accelerator": "cpu", "max_epochs": 1, "enable_model_summary": False}
    trainer = pl.Trainer(**(quiet | for_run(root, "tiny", "run", progress=False) | settings))
    trainer.fit(module, make_data())
    return trainer


def test_what_a_start_wrote_before_it_failed_is_removed(tmp_path: Path) -> None:
    (tmp_path / "runs/tiny/run").mkdir(parents=True)
    (tmp_path / "runs/tiny/run/notes.txt").write_text("mine")
    module = make_module()
    module.__class__ = FailsAtTheEvaluation
    with pytest.raises(InputError, match="this evaluation fails"):
        trained(tmp_path / "runs", module)
    assert [path.name for path in (tmp_path / "runs/tiny/run").iterdir()] == ["notes.txt"]


class WithoutAServer(Logger):
    """A logger whose server does not answer when it is told the settings."""

    name, version = "without_a_server", None

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        raise ConnectionError("no answer")

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        raise AssertionError("nothing is logged of a run that did not start")


def test_a_logger_that_fails_at_the_start_changes_nothing(tmp_path: Path) -> None:
    logger = f"{__name__}.WithoutAServer"
    arguments = [*TINY, "--trainer.default_root_dir", str(tmp_path / "runs"), "--version", "run"]
    with pytest.raises(ConnectionError, match="no answer"):
        main([*arguments, "--trainer.logger", logger])
    assert not (tmp_path / "runs").exists()
    main(arguments)
    before = contents(tmp_path)
    with pytest.raises(ConnectionError, match="no answer"):
        main([*arguments, "--trainer.logger", logger, "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    assert contents(tmp_path) == before


def test_a_root_that_cannot_be_written_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path / "file/runs")])
    assert stopped.value.code == 2
    assert_cannot_be_written(capsys.readouterr().err, tmp_path / "file/runs/tiny/version_0", "Not a directory")
    assert (tmp_path / "file").read_text() == "no directory"


@pytest.mark.parametrize("resumed", [False, True])
def test_a_read_only_root_is_one_message(
    resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*TINY, "--trainer.default_root_dir", str(tmp_path), "--version", "run"]
    if resumed:
        main(arguments)
        arguments += ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    before = contents(tmp_path)

    def refuse(path: Path, *_: Any, **__: Any) -> None:  # not chmod, which does not bind an administrator
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for way in ("mkdir", "write_text", "write_bytes"):
        monkeypatch.setattr(Path, way, refuse)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert_cannot_be_written(capsys.readouterr().err, tmp_path / "tiny/run", "Permission denied")
    assert contents(tmp_path) == before


def assert_cannot_be_written(message: str, run: Path, reason: str) -> None:
    assert message.count("error:") == 1
    assert f"error: {run} cannot be written ({reason}): make room, make it writable, or choose another" in message
    assert "Traceback" not in message


def test_a_run_without_loggers_has_its_own_directory(tmp_path: Path) -> None:
    arguments = [*TINY, "--trainer.default_root_dir", str(tmp_path), "--trainer.logger", "false"]
    main(arguments)
    first, second = tmp_path / "tiny/version_0", tmp_path / "tiny/version_1"
    assert {path.name for path in first.iterdir()} == {"config.yaml", "status.json", "records", "checkpoints"}
    before = contents(first)
    main(arguments)
    assert contents(first) == before
    assert_same_records(first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    main([*arguments, "--version", "version_1", "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    assert Run(second).table("losses")["epoch"].max() == 3


def test_a_run_is_not_written_over_from_python(tmp_path: Path) -> None:
    trained(tmp_path, make_module())
    before = contents(tmp_path)
    with pytest.raises(InputError, match="already holds a run: choose another version, or resume that run"):
        trained(tmp_path, make_module())
    assert contents(tmp_path) == before
