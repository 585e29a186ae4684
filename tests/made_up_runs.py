"""Runs with made-up records, for whatever reads runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tsl.names import THRESHOLDS
from tsl.runs.records import write_table


def fake_run(
    path: Path,
    multiplier: float = 2,
    polarity: float | list[float] = 1.0,
    seed: int = 0,
    replicates: int = 3,
    teacher_nodes: int = 4,
    epochs: list[int] | None = None,
    max_epochs: int = 6,
    splits: tuple[str, ...] = ("val",),
    layers: int = 1,
    pairs: bool = False,
    **settings: Any,
) -> Path:
    """Write made-up records in which teacher nodes are recovered one after the other, as in the paper.

    `settings` are further settings of `model.init_args`.
    """
    initialization = {"class_path": "tsl.networks.SeparableTeacher", "init_args": {"polarity": polarity}}
    model = {"multiplier": multiplier, "teacher_initialization": initialization, **settings}
    config = {
        "seed_everything": seed,
        "replicates": replicates,
        "experiment": path.parent.name,
        "version": path.name,
        "trainer": {"max_epochs": max_epochs, "default_root_dir": str(path)},
        "model": {"class_path": "tsl.modules.TeacherStudent", "init_args": model},
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config))

    random = np.random.default_rng([seed, int(multiplier * 10)])
    student_nodes = int(teacher_nodes * multiplier)
    p = np.resize(np.asarray(polarity, dtype=float), replicates)[:, None]
    node = np.arange(1, teacher_nodes + 1)
    speed = 0.8 * multiplier**0.5 * node**-p * random.uniform(0.4, 1.3, (replicates, teacher_nodes))  # (R, m)
    if multiplier == 1:
        speed *= random.random((replicates, teacher_nodes)) < 1 - 0.7 * (node / teacher_nodes) ** 3
    noise = random.uniform(-0.05, 0.3, (replicates, teacher_nodes, student_nodes))
    chosen = np.concatenate([node - 1, random.integers(0, teacher_nodes, student_nodes - teacher_nodes)])
    learns = np.arange(student_nodes) < max(teacher_nodes, 0.4 * student_nodes)
    specific = (np.arange(teacher_nodes)[:, None] == chosen) & learns  # (m, n)
    for epoch in range(max_epochs + 1) if epochs is None else epochs:
        grown = 1 - np.exp(-speed * epoch)
        of_inputs = np.where(specific, noise + (0.999 - noise) * grown[:, :, None], noise)  # (R, m, n)
        by_split = np.stack([of_inputs * {"train": 1.0, "val": 0.99}[split] for split in splits])
        rho = np.repeat(by_split[:, :, None], layers, axis=2)  # (splits, R, layers, m, n)
        strength = 0.02 + (specific * grown[:, :, None] * node[:, None] ** -p[:, :, None]).sum(1)  # (R, n)
        loss = 10 ** (-0.5 - 7 * grown.mean(1) * random.uniform(0.95, 1.05, replicates))
        best = rho.max(-1)
        teachers = {
            "best_correlation": best,
            "best_student": rho.argmax(-1) + 1,
            **{f"recovered_{threshold:.2f}": best > threshold for threshold in THRESHOLDS},
            "matches_0.95": (rho > 0.95).sum(-1),
            "observed": best > 0,
            "strength": np.broadcast_to((node**-p)[:, None], best.shape),
        }
        students = {"best_correlation": rho.max(-2), "best_teacher": rho.argmax(-2) + 1}
        students["strength"] = np.broadcast_to(strength[:, None], students["best_teacher"].shape)
        measures = {"rho_mean": best.mean(-1), "recovered_fraction_0.95": (best > 0.95).mean(-1)}
        measures |= {"rho_mean_null": 0.1 * best.min(-1), "cka": best.mean(-1) ** 2, "cka_null": 0.05 * best.min(-1)}
        write_table(path, "teacher_nodes", epoch, tidy(epoch, splits, ["node"], teachers))
        write_table(path, "student_nodes", epoch, tidy(epoch, splits, ["node"], students))
        write_table(path, "layers", epoch, tidy(epoch, splits, [], measures))
        if pairs:
            correlations = tidy(epoch, splits, ["teacher_node", "student_node"], {"correlation": rho})
            write_table(path, "pairs", epoch, correlations)
        losses = {"train_loss": 25 * loss, "val_loss": 25 * loss, "val_mse": loss, "gradient_sup_norm": loss**0.5}
        write_table(path, "losses", epoch, pd.DataFrame({"epoch": epoch, "replicate": range(replicates), **losses}))
    return path


def tidy(epoch: int, splits: tuple[str, ...], axes: list[str], values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Rows from arrays of shape (splits, R, layers, *axes)."""
    split, replicate, layer, *nodes = (index.ravel() for index in np.indices(next(iter(values.values())).shape))
    where = {"epoch": epoch, "split": np.array(splits)[split], "replicate": replicate, "layer": layer + 1}
    where |= {axis: index + 1 for axis, index in zip(axes, nodes, strict=True)}
    return pd.DataFrame(where | {name: array.ravel() for name, array in values.items()})
