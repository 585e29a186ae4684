"""A start that is refused leaves a run as it was, and no folder of a new one."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from tests.conftest import make_data, make_module
from tests.fitting import TINY
from tsl.callbacks import for_run
from tsl.errors import InputError
from tsl.fit import main
from tsl.modules import TeacherStudent


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")}


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


def test_a_run_is_not_written_over_from_python(tmp_path: Path) -> None:
    trained(tmp_path, make_module())
    before = contents(tmp_path)
    with pytest.raises(InputError, match="already holds a run: choose another version, or resume that run"):
        trained(tmp_path, make_module())
    assert contents(tmp_path) == before
