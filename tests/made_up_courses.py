"""Made-up runs whose overlaps are the solution of the equations of learning, for tests of figures and outcomes."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from tsl.figures.theory_lines import Course
from tsl.runs import Run
from tsl.runs.records import write_table
from tsl.theory.activation import Activation
from tsl.theory.dynamics import Rates, Trajectory, learning_curve
from tsl.theory.order_parameters import order_parameters as order_parameters_of
from tsl.theory.population_loss import gaussian_averages

ALPHA = np.linspace(0, 100, 26)
DIM, BATCH, STD, LR = 500, 5, 2.0, 0.0025
ETA = LR * DIM * STD**2 / BATCH


def settings(**changes: Any) -> dict[str, Any]:
    """Nested settings of a run of erf committees with η = 1."""
    model: dict[str, Any] = {
        "teacher": {"init_args": {"activation": "erf", "bias": False}},
        "trained_layers": [1],
        "loss": "tsl.modules.half_squared_error",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": LR, "momentum": 0}},
        "noise": 0.1,
    }
    data: dict[str, Any] = {
        "distribution": {"class_path": "tsl.data.Gaussian", "init_args": {"std": STD}},
        "dim": DIM,
        "batch_size": BATCH,
        "fresh_inputs": True,
    }
    for key, value in changes.items():
        (model if key in ("loss", "noise", "optimizer") else data)[key] = value
    return {
        "seed_everything": 0,
        "replicates": 2,
        "model": {"class_path": "tsl.modules.TeacherStudent", "init_args": model},
        "data": {"init_args": data},
    }


@cache
def solution() -> Trajectory:
    """Of two replicates of K = 3, M = 2, whose first two nodes lean to a teacher node each."""
    draw = np.random.default_rng(0)
    W, W_teacher = draw.normal(size=(2, 3, 9)) / 10, np.tile(np.eye(2, 9), (2, 1, 1))
    W[:, :2] += 0.02 * W_teacher
    initial = order_parameters_of(torch.tensor(W), torch.tensor(W_teacher))
    readouts = torch.ones(2, 1, 3), torch.ones(2, 1, 2)
    averages = gaussian_averages(Activation("erf"), Activation("erf"), (3, 2))
    return learning_curve(initial, *readouts, averages, Rates(ETA, 0.0, 0.1), torch.tensor(ALPHA))


def made_run(path: Path, normalization: str = "fields", shift: float = 0.0, **changes: Any) -> Run:
    """A run that follows theory to the digit, recorded at `ALPHA`, but for a shift of all Q and R after the start."""
    curve = solution()
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(settings(**changes)))
    for epoch, alpha in enumerate(ALPHA):
        rows = [
            {
                "replicate": r,
                "matrix": name,
                "row": i + 1,
                "column": k + 1,
                "value": float(value) + shift * (name != "T" and epoch > 0),
            }
            for name, matrix in curve.overlaps._asdict().items()
            for (r, i, k), value in np.ndenumerate(matrix[epoch].numpy())
        ]
        when = {"epoch": epoch, "alpha": alpha}
        write_table(path, "overlaps", epoch, pd.DataFrame(rows).assign(**when, normalization=normalization))
        weights = [
            {"replicate": r, "network": name, "output": 1, "node": node + 1, "value": 1.0}
            for name, nodes in (("student", 3), ("teacher", 2))
            for r in range(2)
            for node in range(nodes)
        ]
        write_table(path, "output_weights", epoch, pd.DataFrame(weights).assign(**when))
        losses = pd.DataFrame({"replicate": [0, 1], "population_loss": curve.loss[epoch].numpy()})
        columns = dict.fromkeys(("train_loss", "val_loss", "val_mse", "gradient_sup_norm"), 0.1)
        write_table(path, "losses", epoch, losses.assign(epoch=epoch, **columns))
    return Run(path)


def course(R: np.ndarray, alpha: np.ndarray, loss: np.ndarray) -> Course:
    """One replicate of unit student and teacher vectors; R `[times, K, M]`."""
    times, K, M = R.shape
    Q, T = np.tile(np.eye(K), (times, 1, 1, 1)), np.eye(M)[None]
    readouts = np.ones((times, 1, 1, K)), np.ones((1, 1, M))
    return Course(alpha, Q, R[:, None], T, *readouts, loss[:, None])
