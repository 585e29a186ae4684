"""A classifier that is trained by `tsl.fit` in a second."""

from pathlib import Path

import yaml

from tsl.fit import main

CONFIG = {
    "experiment": "classifier",
    "trainer": {
        "accelerator": "cpu",
        "precision": "64-true",
        "max_epochs": 4,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [
            {
                "class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
                "init_args": {"monitor": "val/accuracy", "mode": "max", "filename": "best"},
            }
        ],
    },
    "replicates": 2,
    "model": {
        "class_path": "tsl.modules.Classifier",
        "init_args": {
            "network": {
                "class_path": "tsl.networks.MLP",
                "init_args": {"input_dim": 6, "widths": [8], "output_dim": 3},
            },
            "initialization": {"class_path": "tsl.networks.DefaultInitialization"},
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05, "momentum": 0.9}},
        },
    },
    "data": {"class_path": "tests.labelled.TinyImages", "init_args": {"shape": [6], "noise": 2.0}},
}
CONFIG["trainer"]["callbacks"][0]["init_args"] |= {"enable_version_counter": False, "save_on_train_epoch_end": True}  # type: ignore[index]


def train(root: Path, *arguments: str) -> Path:
    config = root / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    main(["--config", str(config), "--trainer.default_root_dir", str(root), *arguments])
    return root / "classifier"
