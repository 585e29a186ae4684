from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.two_settings import TwoSettings, train
from tsl.data import Gaussian, SyntheticDataModule
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization

DIM, OUTPUTS, TEACHER_NODES = 6, 3, 4


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment in which wandb would be online and finds no login; it forgets what it knew of another."""
    import wandb

    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_module(**settings: Any) -> TeacherStudent:
    """A small two-layer experiment; `widths` are the teacher's hidden layers."""
    widths = settings.pop("widths", [TEACHER_NODES])
    settings.setdefault("teacher", partial(MLP, input_dim=DIM, widths=widths, output_dim=OUTPUTS))
    settings.setdefault("teacher_initialization", SeparableInitialization(polarity=0.5))
    settings.setdefault("student_initialization", GaussianInitialization(std=0.3))
    settings.setdefault("student", LikeTeacher(multiplier=2))
    return TeacherStudent(**settings)


def make_data(**settings: Any) -> SyntheticDataModule:
    """Inputs for `make_module`."""
    settings = {"dim": DIM, "train_size": 60, "val_size": 50, "batch_size": 5, "replacement": True} | settings
    return SyntheticDataModule(Gaussian(std=1.5), **settings)


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., pl.Trainer]:
    """Fit a module on data with a quiet Trainer in float64; further settings go to the Trainer."""

    def run(module: pl.LightningModule, data: pl.LightningDataModule, **settings: Any) -> pl.Trainer:
        ckpt_path = settings.pop("ckpt_path", None)
        defaults: dict[str, Any] = {
            "accelerator": "cpu",
            "precision": "64-true",
            "max_epochs": 1,
            "num_sanity_val_steps": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tmp_path,
            "log_every_n_steps": 1,
        }
        trainer = pl.Trainer(**(defaults | settings))
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
        return trainer

    return run


@pytest.fixture(scope="session")
def two_settings(tmp_path_factory: pytest.TempPathFactory) -> TwoSettings:
    """A run whose replicates differ in two settings, and a run of each setting."""
    return train(tmp_path_factory.mktemp("two_settings"))
