"""Train a small two-layer, deep and convolutional run: `python -m tests.faults.repeated FILES ROOT THREADS REPLICATES`.

Each is derived from the shipped config of its name. The test compares what several processes of this have written.
"""

import sys
from pathlib import Path

import torch

from tests.broken_settings import as_yaml, printed, small
from tsl.fit import main

CONFIGS = {"two_layer": "two_layer.yaml", "deep": "multilayer.yaml", "conv": "cifar10/student.yaml"}
BATCH = 20
"""Minibatches for which torch starts threads."""


def train(files: Path, root: Path, replicates: int) -> None:
    """Write one run of each config below a directory."""
    for name, config in CONFIGS.items():
        settings = small(printed(config), files) | {"replicates": replicates, "experiment": name, "version": "run"}
        settings["trainer"] |= {"default_root_dir": str(root), "max_epochs": 3}
        settings["data"]["init_args"]["batch_size"] = BATCH
        path = root / f"{name}.yaml"
        path.write_text(as_yaml(settings))
        main(["--config", str(path)])


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    Path(sys.argv[2]).mkdir(parents=True)
    train(Path(sys.argv[1]), Path(sys.argv[2]), replicates=int(sys.argv[4]))
