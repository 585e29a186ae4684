"""The shipped config of distillation, on generated images in train/ and val/, and its overlay for speed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
import yaml
from PIL import Image

from tests.fitting import ROOT
from tsl.compare.__main__ import main as compare
from tsl.fit import main
from tsl.modules.load_run import load_run
from tsl.runs.records import read_table

CONFIG = str(ROOT / "configs/images/distillation.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two classes, and the weights of a ResNet-18 for them."""
    folder = tmp_path_factory.mktemp("distillation")
    generator = np.random.default_rng(0)
    for split, images in (("train", 8), ("val", 5)):
        for label, brightness in (("cat", 60), ("dog", 180)):
            (folder / split / label).mkdir(parents=True)
            for number in range(images):
                pixels = brightness + generator.integers(0, 60, (36, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / label / f"{number}.png")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=2).state_dict(), folder / "resnet18.pt")
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    settings = {
        "data.data_dir": folder,
        "data.batch_size": 8,
        "model.teacher.weights": folder / "resnet18.pt",
        "model.teacher.outputs": 2,
        "model.student.module.num_classes": 2,
        "data.size": 32,
        "data.crop_padding": 2,
        "model.teacher.input_shape": "[3, 32, 32]",
        "model.student.input_shape": "[3, 32, 32]",
        "trainer.max_epochs": 2,
        "model.optimizer.lr": 0.005,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.default_root_dir": folder / "runs",
        "version": "first",
    }
    return ["--config", CONFIG, *(f"--{key}={value}" for key, value in settings.items()), *more]


def test_a_resnet_distils_into_a_smaller_one(folder: Path) -> None:
    main(arguments(folder))
    run = folder / "runs/distillation/first"
    logged = pd.read_csv(run / "metrics.csv").groupby("epoch").max()
    terms = ["train/labels", "train/teacher", "train/hint", "train/attention", "train/learning_rate", "val/accuracy"]
    assert logged.loc[[1, 2], terms].notna().all(axis=None)
    assert logged.loc[2, "train/loss"] < logged.loc[1, "train/loss"]
    layers = read_table(run, "layers")
    assert sorted(layers["layer"].unique()) == [1, 2, 3, 4]
    assert layers["rho_mean"].between(-1, 1).all()
    assert read_table(run, "losses")["train_size"].unique().tolist() == [16]
    student = load_run(run).module.student
    assert (student.widths, student.output_dim) == ([64, 128, 256, 512], 2)
    assert compare([f"{run}:teacher", str(run), "--measures", "minibatch_cka", "--out", str(folder / "out")]) == 0
    found = pd.read_parquet(folder / "out/layers.parquet")
    assert found["value"].between(-1, 1).all()


def test_the_overlay_for_speed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling itself takes minutes on a CPU: here its plain stand-in runs the same code as it is."""
    compiled = []
    real = torch.compile

    def counting(model, *args, **kwargs):  # type: ignore[no-untyped-def]
        compiled.append(model)
        return real(model, backend="eager")

    monkeypatch.setattr(torch, "compile", counting)
    overlay = ROOT / "configs/images/fast.yaml"
    main(arguments(folder, "--config", str(overlay), "--version", "fast", "--trainer.max_epochs", "1"))
    assert compiled
    config = yaml.safe_load((folder / "runs/distillation/fast/config.yaml").read_text())
    assert config["trainer"]["precision"] == "bf16-mixed"
    losses = read_table(folder / "runs/distillation/fast", "losses")
    assert losses["val_loss"].notna().all()
