from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.data import DataModule
from tsl.metrics import LinearCKA
from tsl.modules import TeacherStudent
from tsl.networks import LikeTeacher
from tsl.runs.records import read_table


def recorded(
    fit: Callable[..., Any], tmp_path: Path, data: dict[str, Any] | None = None, **settings: Any
) -> TeacherStudent:
    """Fit two replicates for two epochs and record; the run lies in `tmp_path/run/version_0`."""
    module = make_module(replicates=2, widths=settings.pop("widths", [4]))
    trainer = {"max_epochs": settings.pop("max_epochs", 2), "num_sanity_val_steps": settings.pop("sanity", -1)}
    callbacks = [SpecializationRecords(**settings)]
    inputs = make_data(**({"replicates": 2, "eval_batch_size": 7} | (data or {})))
    fit(module, inputs, callbacks=callbacks, logger=CSVLogger(tmp_path, "run", "version_0"), **trainer)
    return module


def activations(module: TeacherStudent, data: dict[str, Any] | None = None, size: int = 50) -> tuple[Any, Any]:
    """What both networks compute on the validation inputs, all at once."""
    from tsl.data import Gaussian
    from tsl.randomness import generator

    torch.set_default_dtype(torch.float64)
    inputs = torch.stack([Gaussian(1.5).sample(size, 6, generator("val_inputs", r)) for r in range(2)])
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        return module.teacher.activations(inputs), module.student.activations(inputs)


def test_node_tables_equal_numpy_on_all_inputs_at_once(fit: Callable[..., Any], tmp_path: Path) -> None:
    module = recorded(fit, tmp_path, thresholds=[0.42], pairs=True)
    teacher, student = (a.post[0].numpy() for a in activations(module))
    run = tmp_path / "run/version_0"
    tables = {name: read_table(run, name).query("epoch == 2") for name in ("teacher_nodes", "student_nodes", "pairs")}
    for r in range(2):
        rho = np.corrcoef(teacher[r].T, student[r].T)[:4, 4:]
        of_teacher = tables["teacher_nodes"].query("replicate == @r").set_index("node")
        of_student = tables["student_nodes"].query("replicate == @r").set_index("node")
        pairs = (
            tables["pairs"]
            .query("replicate == @r")
            .pivot(index="teacher_node", columns="student_node", values="correlation")
        )
        np.testing.assert_allclose(pairs.to_numpy(), rho, atol=1e-12)
        for j in range(4):
            row = of_teacher.loc[j + 1]
            assert row["best_correlation"] == pytest.approx(rho[j].max(), abs=1e-12)
            assert row["best_student"] == rho[j].argmax() + 1
            assert row["recovered_0.42"] == (rho[j].max() > 0.42)
            assert row["recovered_0.50"] == (rho[j].max() > 0.5)
            assert row["matches_0.95"] == sum(rho[j] > 0.95)
            both = [
                min(np.sum((teacher[r, :, j] > 0) & on), np.sum((teacher[r, :, j] <= 0) & on))
                for on in (student[r] > 0).T
            ]
            assert row["observed"] == (max(both) > 0)
            fan_out = module.teacher.layers[1].weight[r, :, j].norm().item()
            assert row["strength"] == pytest.approx(fan_out, rel=1e-12)
        for k in range(8):
            row = of_student.loc[k + 1]
            assert row["best_correlation"] == pytest.approx(rho[:, k].max(), abs=1e-12)
            assert row["best_teacher"] == rho[:, k].argmax() + 1
            assert row["strength"] == pytest.approx(module.student.layers[1].weight[r, :, k].norm().item(), rel=1e-12)


def test_layer_and_loss_tables_agree_with_the_node_tables_and_the_module(
    fit: Callable[..., Any], tmp_path: Path
) -> None:
    module = recorded(fit, tmp_path)
    run = tmp_path / "run/version_0"
    nodes = read_table(run, "teacher_nodes").groupby(["epoch", "replicate"])
    layers = read_table(run, "layers").set_index(["epoch", "replicate"])
    np.testing.assert_allclose(layers["rho_mean"], nodes["best_correlation"].mean(), rtol=1e-12)
    np.testing.assert_allclose(layers["recovered_fraction_0.95"], nodes["recovered_0.95"].mean())
    losses = read_table(run, "losses")
    last = losses[losses["epoch"] == 2]
    for column in ("train_loss", "val_loss", "val_mse", "gradient_sup_norm"):
        np.testing.assert_allclose(last[column], getattr(module, column).compute().numpy(), rtol=1e-12)
    assert losses[losses["epoch"] == 0]["train_loss"].isna().all()


def test_permuting_student_nodes_permutes_the_records(fit: Callable[..., Any], tmp_path: Path) -> None:
    order = torch.tensor([3, 1, 0, 2, 7, 6, 5, 4])

    class Permuted(TeacherStudent):
        def make_networks(self, data: DataModule | None = None) -> None:
            super().make_networks(data)
            lower, upper = self.student.layers
            with torch.no_grad():
                lower.weight.copy_(lower.weight[:, order])
                upper.weight.copy_(upper.weight[:, :, order])

    plain = make_module(replicates=2)
    permuted = make_module(replicates=2)
    permuted.__class__ = Permuted
    for name, module in (("plain", plain), ("permuted", permuted)):
        callbacks = [SpecializationRecords(pairs=True)]
        logger = CSVLogger(tmp_path, "run", name)
        fit(module, make_data(replicates=2, steps_per_epoch=3), callbacks=callbacks, logger=logger)
    keys = ["epoch", "replicate", "teacher_node", "student_node"]
    first, second = (read_table(tmp_path / "run" / name, "pairs").set_index(keys) for name in ("plain", "permuted"))
    for k in range(8):
        a = first.xs(int(order[k]) + 1, level="student_node")["correlation"]
        b = second.xs(k + 1, level="student_node")["correlation"]
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.slow
def test_a_trained_student_stands_far_above_its_null_level(fit: Callable[..., Any], tmp_path: Path) -> None:
    """On shuffled inputs ρ is chance: about 1/√N for N inputs, so its best of 8 is below 3/√N."""
    recorded(
        fit,
        tmp_path,
        {"val_size": 2000, "eval_batch_size": 1000, "train_size": 500, "steps_per_epoch": 3000},
        max_epochs=3,
    )
    layers = read_table(tmp_path / "run/version_0", "layers").query("epoch == 3")
    assert (layers["rho_mean"] > 0.9).all()
    assert (layers["rho_mean_null"].abs() < 3 / np.sqrt(2000)).all()
    assert (layers["rho_mean_null"] > 0).all()


def test_alignments_asked_for_stand_in_the_layers_table(fit: Callable[..., Any], tmp_path: Path) -> None:
    module = recorded(fit, tmp_path, alignments={"cka": LinearCKA}, widths=[4, 3])
    teacher, student = activations(module)
    layers = read_table(tmp_path / "run/version_0", "layers").query("epoch == 2").set_index(["layer", "replicate"])
    for layer in range(2):
        for r in range(2):
            t, s = (x.post[layer][r].numpy() - x.post[layer][r].numpy().mean(axis=0) for x in (teacher, student))
            cka = np.linalg.norm(t.T @ s) ** 2 / np.linalg.norm(t.T @ t) / np.linalg.norm(s.T @ s)
            assert layers.loc[(layer + 1, r), "cka"] == pytest.approx(cka, rel=1e-9)
    assert (layers["cka_null"] < layers["cka"]).all()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"every_n_epochs": 2}, [0, 2, 4, 5]),
        ({"epochs": [1, 4]}, [1, 4]),
        ({"sanity": 0}, [1, 2, 3, 4, 5]),
        ({"sanity": 2}, [1, 2, 3, 4, 5]),
    ],
)
def test_epochs_that_are_recorded(
    fit: Callable[..., Any], tmp_path: Path, settings: dict[str, Any], expected: list[int]
) -> None:
    recorded(fit, tmp_path, {"steps_per_epoch": 2}, max_epochs=5, **settings)
    run = tmp_path / "run/version_0"
    assert list(read_table(run, "teacher_nodes")["epoch"].unique()) == expected
    first = 0 if settings.get("sanity", -1) == -1 else 1
    assert list(read_table(run, "losses")["epoch"].unique()) == list(range(first, 6))


def test_training_inputs_are_recorded_when_asked_for(fit: Callable[..., Any], tmp_path: Path) -> None:
    recorded(fit, tmp_path, {"evaluate_train": True})
    nodes = read_table(tmp_path / "run/version_0", "teacher_nodes")
    by_split = {split: rows["best_correlation"].to_numpy() for split, rows in nodes.groupby("split")}
    assert by_split.keys() == {"val", "train"}
    assert not np.allclose(by_split["val"], by_split["train"])


def test_evaluating_outside_training_records_nothing(fit: Callable[..., Any], tmp_path: Path) -> None:
    module = make_module(replicates=2)
    trainer = fit(
        module, make_data(replicates=2), callbacks=[SpecializationRecords()], logger=CSVLogger(tmp_path, "r", "v")
    )
    before = sorted(tmp_path.rglob("*.parquet"))
    [result] = trainer.validate(module, datamodule=make_data(replicates=2), verbose=False)
    assert sorted(tmp_path.rglob("*.parquet")) == before
    assert result["val/loss"] == pytest.approx(float(module.val_loss.compute().mean()), rel=1e-6)


def test_one_replicate_of_one_node(fit: Callable[..., Any], tmp_path: Path) -> None:
    """torchmetrics squeezes results of a single number; records keep their shape."""
    module = make_module(replicates=1, widths=[1], student=LikeTeacher())
    logger = CSVLogger(tmp_path, "run", "one")
    fit(module, make_data(), callbacks=[SpecializationRecords(alignments={"cka": LinearCKA})], logger=logger)
    frame = read_table(tmp_path / "run/one", "teacher_nodes")
    assert len(frame) == 1
    pd.testing.assert_series_equal(frame["node"], pd.Series([1], name="node"))
