"""Functions of the correlation that are recorded by name, and the old formulae spelled out beside the records."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from tests.conftest import make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.callbacks.frames import LayerValues, layer_frames
from tsl.errors import InputError
from tsl.metrics import DeadNodeFraction, LinearCKA
from tsl.metrics.functional import one_to_one_mean, redundancy
from tsl.names import THRESHOLDS
from tsl.runs.records import read_table
from tsl.wandb.board import alignments_of


def values(replicates: int = 3, m: int = 4, n: int = 6) -> LayerValues:
    """A layer with ties, dead nodes and a pruned node, whose pruned node would be everybody's best."""
    torch.manual_seed(0)
    correlation, null = torch.rand(2, replicates, m, n, dtype=torch.float64).round(decimals=1)
    correlation[:, :, 2] = 0
    correlation[:, 1, :] = 0
    active = torch.ones(replicates, m, dtype=torch.bool)
    active[1, 0] = False
    correlation[1, 0] = 0.99
    observation = torch.randint(0, 2, (replicates, m, n))
    observation[0, 3] = 0
    return LayerValues(active, correlation, null, observation, torch.rand(replicates, m), torch.rand(replicates, n))


def test_every_row_is_what_a_loop_over_the_definitions_gives() -> None:
    layer = values()
    frames = layer_frames(layer, THRESHOLDS, {"redundancy": redundancy, "matched": one_to_one_mean}, {})
    active, rho, null, observation, teacher_strength, student_strength = (tensor.numpy() for tensor in layer)
    for r in range(len(rho)):
        nodes = np.flatnonzero(active[r])
        table = frames["teacher_nodes"].query("replicate == @r").set_index("node")
        assert list(table.index) == list(nodes + 1)
        students = frames["student_nodes"].query("replicate == @r").set_index("node")
        best_of_student = {}
        for k in range(rho.shape[2]):
            best_of_student[k] = max(nodes, key=lambda j: (rho[r, j, k], -j))
            assert students.loc[k + 1, "best_teacher"] == best_of_student[k] + 1
            assert students.loc[k + 1, "best_correlation"] == rho[r, best_of_student[k], k]
            assert students.loc[k + 1, "strength"] == student_strength[r, k]
        for j in nodes:
            row = table.loc[j + 1]
            assert row["best_correlation"] == max(rho[r, j])
            assert row["best_student"] == list(rho[r, j]).index(max(rho[r, j])) + 1
            for threshold in THRESHOLDS:
                assert row[f"recovered_{threshold:.2f}"] == (max(rho[r, j]) > threshold)
            assert row["matches_0.95"] == sum(rho[r, j] > 0.95)
            assert row["observed"] == any(observation[r, j] > 0)
            assert row["strength"] == teacher_strength[r, j]
            own = [k for k, best in best_of_student.items() if best == j and rho[r, j, k] > 0.95]
            assert row["redundancy"] == len(own)
        whole = frames["layers"].query("replicate == @r").iloc[0]
        assert whole["rho_mean"] == pytest.approx(np.mean([max(rho[r, j]) for j in nodes]), rel=1e-14)
        assert whole["rho_mean_null"] == pytest.approx(np.mean([max(null[r, j]) for j in nodes]), rel=1e-14)
        assert whole["recovered_fraction_0.95"] == np.mean([max(rho[r, j]) > 0.95 for j in nodes])
        assert whole["redundancy"] == pytest.approx(table["redundancy"].mean())
        assert whole["matched"] == pytest.approx(best_assignment(rho[r, nodes]) / len(nodes), rel=1e-12)
        assert whole["matched_null"] == pytest.approx(best_assignment(null[r, nodes]) / len(nodes), rel=1e-12)


def best_assignment(rho: np.ndarray) -> float:
    """The greatest total correlation of a one-to-one matching, by trying all."""
    if not len(rho):
        return 0.0
    return max(rho[0, k] + best_assignment(np.delete(rho[1:], k, axis=1)) for k in range(rho.shape[1]))


def test_functions_and_metrics_are_recorded_and_logged_by_name(fit: Callable[..., Any], tmp_path: Path) -> None:
    asked: dict[str, Any] = {"redundancy": redundancy, "cka": LinearCKA, "dead": partial(DeadNodeFraction)}
    callback = SpecializationRecords(alignments=asked)
    logger = CSVLogger(tmp_path, "run", "one")
    data = make_data(replicates=2, evaluate_train=True)
    trainer = fit(make_module(replicates=2, widths=[4, 3]), data, callbacks=[callback], logger=logger)
    layers = read_table(tmp_path / "run/one", "layers").query("epoch == 1 and split == 'val'")
    nodes = read_table(tmp_path / "run/one", "teacher_nodes").query("epoch == 1 and split == 'val'")
    for name in asked:
        assert {name, f"{name}_null"} <= set(layers)
    assert "redundancy" in nodes
    assert "cka" not in nodes
    for layer in (1, 2):
        logged = trainer.callback_metrics[f"alignment/layer{layer}/redundancy"]
        assert float(logged) == pytest.approx(nodes.query("layer == @layer")["redundancy"].mean())
    assert alignments_of(trainer) == {"redundancy": None, "cka": True, "dead": False}


def test_a_measure_of_another_shape_names_itself() -> None:
    def of_students(correlation: Tensor) -> Tensor:
        return correlation.amax(dim=0)

    with pytest.raises(
        InputError, match=r"records\.alignments\.odd returned a tensor of shape \[6\].*one number, or one"
    ):
        layer_frames(values(), THRESHOLDS, {"odd": of_students}, {})


def test_a_measure_cannot_take_the_name_of_a_column() -> None:
    with pytest.raises(
        InputError, match=r"a measure 'rho_mean_null', which is the name of another column: rename the measure"
    ):
        SpecializationRecords(alignments={"rho_mean_null": LinearCKA})
