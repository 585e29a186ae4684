"""Small images on disk, and the little of a Trainer that a DataModule of images asks for."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from tsl.data import CIFAR10DataModule
from tsl.data.images import ImageDataModule


def write_cifar10(data_dir: Path, train: int = 50, test: int = 20, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Random images in CIFAR-10's layout; gives images `[M, 3, 32, 32]` and labels, the test images last."""
    images = np.random.default_rng(seed).integers(0, 256, (train + test, 3, 32, 32), dtype=np.uint8)
    labels = [row % 10 for row in range(train + test)]
    folder = data_dir / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    parts = [*np.array_split(np.arange(train), 5), np.arange(train, train + test)]
    for name, rows in zip([*names, "test_batch"], parts, strict=True):
        entry = {"data": images[rows].reshape(-1, 3072), "labels": [labels[row] for row in rows]}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return images, labels


def write_folders(root: Path, sizes: dict[str, list[tuple[int, int]]]) -> None:
    """Random images by class, of these widths and heights."""
    generator = np.random.default_rng(0)
    for name, shapes in sizes.items():
        (root / name).mkdir(parents=True)
        for number, (width, height) in enumerate(shapes):
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def ready(data: ImageDataModule, stage: str = "fit", **share: int) -> Any:
    """The DataModule, made ready without a Trainer; `share` is a process's place among several."""
    if share:
        data.trainer = SimpleNamespace(**({"global_rank": 0, "world_size": 1, "strategy": None} | share))
    data.prepare_data()
    data.draw(stage, torch.float32, torch.device("cpu"))
    return data


def cifar10(data_dir: Path, **settings: Any) -> CIFAR10DataModule:
    """The DataModule of images that `write_cifar10` wrote."""
    return CIFAR10DataModule(str(data_dir), **({"verify": False, "batch_size": 5, "chunk_size": 3} | settings))
