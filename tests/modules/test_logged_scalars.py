"""What loggers and callbacks get of the replicates of a run."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import make_data, make_module
from tests.two_settings import LABELS, TwoSettings

NAMES = ("train/loss", "val/loss", *(f"specialization/layer1/{name}" for name in ("rho_mean", "recovered_0.95")))


def by_epoch(run: Path) -> pd.DataFrame:
    """The logged scalars, a row for each epoch."""
    return pd.read_csv(run / "metrics.csv").groupby("epoch").max()


def test_each_setting_logs_what_its_run_alone_logs(two_settings: TwoSettings) -> None:
    together = by_epoch(two_settings.together)
    for label, path in zip(LABELS, two_settings.alone, strict=True):
        alone = by_epoch(path).drop(columns="step")
        assert {*NAMES, *(f"{name}_std" for name in NAMES)} <= {*alone}
        of_setting = together[[f"{name}/{label}" for name in alone]].set_axis(alone.columns, axis=1)
        pd.testing.assert_frame_equal(of_setting, alone, rtol=1e-6)


def test_no_logged_scalar_is_a_mean_over_settings_unsaid(two_settings: TwoSettings) -> None:
    scalars = by_epoch(two_settings.together).columns.drop("step")
    assert {scalar.rsplit("/", 1)[1] for scalar in scalars} == {*LABELS}


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_what_callbacks_monitor_is_the_mean_over_all_replicates(
    fit: Callable[..., pl.Trainer], tmp_path: Path, stage: str
) -> None:
    module, data = make_module(replicates=4), make_data(replicates=4)
    module.replicate_groups = {"p=0": [0, 2], "p=1": [1, 3]}
    trainer = fit(module, data, logger=CSVLogger(tmp_path, name="", version=stage))
    if stage == "validate":
        quiet = {"accelerator": "cpu", "precision": "64-true", "enable_progress_bar": False}
        trainer = pl.Trainer(logger=CSVLogger(tmp_path, name="", version="again"), **quiet)
        trainer.validate(module, data, verbose=False)
    losses = module.val_loss.compute()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(losses.mean().item())
    logged = pd.read_csv(Path(trainer.log_dir) / "metrics.csv").max()
    assert logged["val/loss/p=0"] == pytest.approx(losses[[0, 2]].mean().item())
    assert logged["val/loss_std/p=1"] == pytest.approx(losses[[1, 3]].std().item())
    assert "val/loss" not in logged
