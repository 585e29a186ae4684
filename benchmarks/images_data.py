"""Augmented batches of CIFAR-10 against torchvision's datasets and transforms: `python benchmarks/images_data.py`.

50,000 random images in CIFAR-10's layout, batch 128, random crop (pad 4), flip, normalization. torchvision's way is
transforms.v2 on one image at a time in a DataLoader with 2 workers that live on from epoch to epoch; of each of its
epochs only `--batches` minibatches are measured, once the workers run. tsl's way, a whole epoch, runs on one thread and
on two. All take turns.
"""

import argparse
import itertools
import pickle
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from tsl.data import CIFAR10DataModule

IMAGES, BATCH, WARM_UP = 50_000, 128, 20
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class OneFile(CIFAR10):
    """One of the six files as torchvision reads it."""

    test_list: list[list[str]] = []  # noqa: RUF012 (torchvision's own way to say which files there are)

    def __init__(self, data_dir: Path, name: str) -> None:
        self.train_list = [[name, None]]  # without an MD5 sum, it is not checked
        super().__init__(str(data_dir))

    def _load_meta(self) -> None:
        """Nothing here needs the names of the classes."""


def write_images(data_dir: Path) -> None:
    """Random images in torchvision's layout."""
    folder = data_dir / CIFAR10.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list):
        data = generator.integers(0, 256, (IMAGES // 5, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [row % 10 for row in range(len(data))]}))


def torchvision_batches(data_dir: Path) -> DataLoader[Any]:
    """One image at a time, as torchvision's examples do it."""
    dataset = OneFile(data_dir, CIFAR10.train_list[0][0])  # of 10,000 images: the time for one is the same
    dataset.transform = v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    return DataLoader(dataset, BATCH, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)


def tsl_batches(data_dir: Path) -> CIFAR10DataModule:
    """The batches of tsl, which come from one tensor."""
    data = CIFAR10DataModule(str(data_dir), verify=False, crop_padding=4, flip=True, batch_size=BATCH)
    data.draw("fit", torch.float32, torch.device("cpu"))
    return data


def seconds_of_torchvision(loader: DataLoader[Any], batches: int) -> float:
    """Seconds for one image, after the batches that the workers had prepared."""
    iterator: Iterator[Any] = iter(loader)
    for _ in itertools.islice(iterator, WARM_UP):
        pass
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in itertools.islice(iterator, batches))
    return (time.perf_counter() - start) / images


def seconds_of_tsl(data: CIFAR10DataModule, threads: int) -> float:
    """Seconds for one image, as the mean over an epoch with its order and crops."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    images = sum(chunk.inputs[..., 0, 0, 0].numel() for chunk in data.train_dataloader())
    return (time.perf_counter() - start) / images


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Time of an augmented image against torchvision's.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=40, help="minibatches of torchvision's to measure in a round")
    args = parser.parse_args()
    times: dict[str, list[float]] = {"torchvision, 2 workers": [], "tsl, 1 thread": [], "tsl, 2 threads": []}
    with tempfile.TemporaryDirectory() as directory:
        write_images(Path(directory))
        loader, data = torchvision_batches(Path(directory)), tsl_batches(Path(directory))
        for _ in range(args.rounds):
            times["torchvision, 2 workers"].append(seconds_of_torchvision(loader, args.batches))
            times["tsl, 1 thread"].append(seconds_of_tsl(data, 1))
            times["tsl, 2 threads"].append(seconds_of_tsl(data, 2))
    reference = statistics.median(times["torchvision, 2 workers"])
    for way, measured in times.items():
        median = statistics.median(measured)
        print(f"{way:24} {1e6 * median:6.1f} µs an image, {reference / median:5.1f} times as fast")


if __name__ == "__main__":
    main()
