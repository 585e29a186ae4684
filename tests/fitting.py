"""The tiny configuration of `tsl.fit`, and what two runs have in common."""

from pathlib import Path

import pandas as pd
import torch

from tsl.runs.records import read_table

ROOT = Path(__file__).parents[1]
TINY = ["--config", str(ROOT / "configs/two_layer.yaml"), "--config", str(ROOT / "tests/tiny.yaml")]


def contents(directory: Path) -> dict[Path, bytes]:
    """Every file and folder below a directory, with what the files hold."""
    return {path: path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")}


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if name.startswith(("teacher.", "student."))}


def assert_same_records(first: Path, second: Path) -> None:
    for table in ("teacher_nodes", "student_nodes", "layers", "losses"):
        pd.testing.assert_frame_equal(read_table(first, table), read_table(second, table), check_exact=True)
