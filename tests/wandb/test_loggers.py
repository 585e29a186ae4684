from pathlib import Path

import pytest
import yaml

from tests.fitting import ROOT, TINY
from tests.wandb.wandb_file import read_wandb_runs
from tsl.fit import main
from tsl.names import LEARNING_RATE

SCALARS = {"train/loss", "val/loss", "specialization/layer1/rho_mean", "specialization/layer1/recovered_0.95"}


def test_lightnings_wandb_logger_works_by_config_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back from the file that wandb itself wrote."""
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = ["--trainer.logger", "pytorch_lightning.loggers.WandbLogger"]
    save_dir = ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    main([*TINY, *logger, "--trainer.default_root_dir", str(tmp_path), *save_dir])
    wandb.finish()
    [run] = read_wandb_runs(tmp_path)
    assert run.config["replicates"] == 2
    assert run.config["model"]["init_args"]["student"]["init_args"]["multiplier"] == 2
    assert {key for row in run.history for key in row} >= SCALARS | {"epoch", "trainer/global_step"}
    assert sorted({row["epoch"] for row in run.rows("epoch")}) == [0, 1, 2]
    assert {row["trainer/global_step"] for row in run.rows("val/loss")} == {0, 8, 16}
    assert run.summary.keys() >= SCALARS


def test_tensorboard_holds_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    overlay = ["--config", str(ROOT / "configs/logger/tensorboard.yaml")]
    save_dir = ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    main([*TINY, *overlay, "--trainer.default_root_dir", str(tmp_path / "runs"), "--version", "first", *save_dir])
    events = EventAccumulator(str(tmp_path / "tiny/first"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= SCALARS | {LEARNING_RATE}
    assert [event.step for event in events.Scalars("val/loss")] == [0, 8, 16]
    pictures = events.Images("l_shape")
    assert [picture.step for picture in pictures] == [0, 8, 16]  # epochs 0, 1 and 2
    assert min(pictures[0].width, pictures[0].height) > 300


def test_metrics_csv_is_written_whatever_the_logger(tmp_path: Path) -> None:
    logger = ["--trainer.logger", "TensorBoardLogger", "--trainer.logger.init_args.save_dir", str(tmp_path / "other")]
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), *logger])
    run = tmp_path / "tiny/version_0"
    assert (run / "metrics.csv").exists()
    assert (run / "checkpoints/last.ckpt").exists()
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["logger"]
