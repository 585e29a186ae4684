"""What is recorded of deep networks: gradients, conditioning, Lemma 1's matrices, and pruned teachers left out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.optim import SGD

from tests.conftest import make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.data import DataModule, Gaussian
from tsl.modules import TeacherStudent
from tsl.networks import MLP
from tsl.randomness import generator
from tsl.runs.records import read_table

DEEP = [4, 3, 5]


@pytest.fixture
def record(fit: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Fit a module on data and record; gives the run's directory."""

    def run(module: TeacherStudent, data: Any, records: dict[str, Any] | None = None, **settings: Any) -> Path:
        callbacks = [SpecializationRecords(**(records or {}))]
        settings = {"num_sanity_val_steps": -1} | settings
        fit(module, data, callbacks=callbacks, logger=CSVLogger(tmp_path, "run", "version_0"), **settings)
        return tmp_path / "run/version_0"

    return run


def drawn(purpose: Any, size: int, replicates: int = 2) -> Tensor:
    """The inputs that `make_data` draws, `[R, size, 6]` float64."""
    return torch.stack([Gaussian(1.5).sample(size, 6, generator(purpose, r)) for r in range(replicates)])


@pytest.mark.parametrize(("trained_layers", "recorded"), [(None, [1, 2, 3, 4]), ([2, 4], [2, 4])])
def test_gradients_are_those_of_the_last_minibatch(
    record: Callable[..., Path], trained_layers: list[int] | None, recorded: list[int]
) -> None:
    module = make_module(
        replicates=2, widths=DEEP, optimizer=partial(SGD, lr=0.0), trained_layers=trained_layers, condition_teacher=True
    )
    seen: list[Tensor] = []
    training_step = module.training_step
    module.training_step = lambda batch, batch_idx: (seen.append(batch.inputs), training_step(batch, batch_idx))[1]
    run = record(module, make_data(replicates=2, steps_per_epoch=7, chunk_size=3), max_epochs=2)
    table = read_table(run, "gradients")
    assert list(table["epoch"].unique()) == [1, 2]
    assert sorted(table["layer"].unique()) == recorded
    for epoch, last in ((1, seen[2][-1]), (2, seen[5][-1])):
        for r in range(2):
            signal = last[r]
            weights = [layer.weight[r].detach().clone().requires_grad_() for layer in module.student.layers]
            for weight, layer in zip(weights[:-1], module.student.layers, strict=False):
                signal = (signal @ weight.T + layer.bias[r].detach()).relu()
            output = signal @ weights[-1].T + module.student.layers[-1].bias[r].detach()
            loss = 0.5 * (output - module.teacher(last)[r]).square().sum(dim=1).mean()
            gradients = torch.autograd.grad(loss, weights)
            for layer in recorded:
                (_, row), *none = table.query(f"epoch == {epoch} and replicate == {r} and layer == {layer}").iterrows()
                assert not none
                gradient = gradients[layer - 1].numpy()
                assert row["rms"] == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-10)
                assert row["max"] == pytest.approx(np.abs(gradient).max(), rel=1e-10)


def test_mean_matrices_are_those_of_the_output_jacobians(record: Callable[..., Path]) -> None:
    module = make_module(replicates=2, widths=DEEP)
    data = make_data(replicates=2, val_size=11, eval_batch_size=4, steps_per_epoch=3, evaluate_train=True)
    run = record(module, data, {"mean_matrices": True})
    table = read_table(run, "mean_matrices").query("epoch == 1")
    assert set(table["split"]) == {"val"}
    inputs = drawn("val_inputs", 11)
    for r in range(2):
        for layer in (1, 2, 3):
            jacobians = [output_jacobian(net, r, layer, inputs[r]) for net in (module.student, module.teacher)]
            student, teacher = (torch.stack(jacobian).numpy() for jacobian in jacobians)  # [N, outputs, nodes]
            expected = {"A": np.einsum("xok,xoj->kj", student, teacher) / 11}
            expected["B"] = np.einsum("xok,xol->kl", student, student) / 11
            for name, matrix in expected.items():
                rows = table.query(f"replicate == {r} and layer == {layer} and matrix == '{name}'")
                written = rows.pivot(index="row", columns="column", values="value").to_numpy()
                np.testing.assert_allclose(written, matrix, rtol=1e-9, atol=1e-12)


def output_jacobian(network: MLP, replicate: int, layer: int, inputs: Tensor) -> list[Tensor]:
    """By autograd and sample by sample, the derivative of the output by the outputs of hidden layer `layer`."""
    layers = [(linear.weight[replicate].detach(), linear.bias[replicate].detach()) for linear in network.layers]

    def above(signal: Tensor) -> Tensor:
        for weight, bias in layers[layer:-1]:
            signal = (weight @ signal + bias).relu()
        return layers[-1][0] @ signal + layers[-1][1]

    jacobians = []
    for signal in inputs:
        for weight, bias in layers[:layer]:
            signal = (weight @ signal + bias).relu()
        jacobians.append(torch.autograd.functional.jacobian(above, signal))
    return jacobians


def test_strengths_are_the_roots_of_the_mean_matrices_diagonals(record: Callable[..., Path]) -> None:
    run = record(make_module(replicates=2, widths=DEEP), make_data(replicates=2), {"mean_matrices": True})
    keys = ["epoch", "replicate", "layer", "node"]
    diagonal = read_table(run, "mean_matrices").query("matrix == 'B' and row == column").rename(columns={"row": "node"})
    students = read_table(run, "student_nodes").set_index(keys)["strength"].sort_index()
    np.testing.assert_allclose(students, np.sqrt(diagonal.set_index(keys)["value"].sort_index()), rtol=1e-9)


def test_a_teacher_is_conditioned_once_and_its_activity_recorded(record: Callable[..., Path], fit: Any) -> None:
    module, data = make_module(replicates=2, widths=DEEP, condition_teacher=True), make_data(replicates=2)
    run = record(module, data, num_sanity_val_steps=0)
    inputs = drawn("train_inputs", 60)
    activity = read_table(run, "activity")
    assert set(activity["epoch"]) == {0}
    for r in range(2):
        signal = inputs[r].numpy()
        for layer, linear in enumerate(module.teacher.layers[:-1], start=1):
            pre = signal @ linear.weight[r].numpy().T + linear.bias[r].numpy()
            recorded = activity.query(f"replicate == {r} and layer == {layer}")["active_fraction"]
            # Inputs at the median lie on the hyperplane, give or take rounding.
            either_way = (np.abs(pre) < 1e-9).mean(axis=0) + 1e-6
            assert (np.abs(recorded - (pre > 0).mean(axis=0)) <= either_way).all()
            if layer == 1:  # above, inputs that no node below is active on share the median
                np.testing.assert_allclose(recorded, 0.5, rtol=0, atol=1 / 60 + 1e-6)
            signal = np.maximum(pre, 0)
        output = signal @ module.teacher.layers[-1].weight[r].numpy().T + module.teacher.layers[-1].bias[r].numpy()
        np.testing.assert_allclose(output.mean(axis=0), 0, atol=1e-9)
    before = [parameter.clone() for parameter in module.teacher.parameters()]
    fit(module, data, max_epochs=2)
    assert all(torch.equal(a, b) for a, b in zip(before, module.teacher.parameters(), strict=True))


class Pruned(TeacherStudent):
    """Whose teacher lost nodes 2 and 3 of 4 in replicate 0, and node 1 in replicate 1."""

    def make_networks(self, data: DataModule | None = None) -> None:
        super().make_networks(data)
        with torch.no_grad():
            self.teacher.layers[1].weight[0][:, [1, 2]] = 0
            self.teacher.layers[1].weight[1][:, 0] = 0


def test_pruned_teacher_nodes_count_nowhere(record: Callable[..., Path]) -> None:
    module = make_module(replicates=2, widths=[4, 3])
    module.__class__ = Pruned
    run = record(module, make_data(replicates=2), {"pairs": True})
    kept = {0: [0, 3], 1: [1, 2, 3]}
    tables = {name: read_table(run, name).query("epoch == 1") for name in ("teacher_nodes", "student_nodes", "layers")}
    pairs = read_table(run, "pairs").query("epoch == 1 and layer == 1")
    with torch.no_grad():
        inputs = drawn("val_inputs", 50)
        teacher, student = (net.activations(inputs).post[0] for net in (module.teacher, module.student))
    for r, active in kept.items():
        rho = np.corrcoef(teacher[r].T, student[r].T)[:4, 4:][active]
        rows = {name: table.query(f"replicate == {r} and layer == 1") for name, table in tables.items()}
        assert list(rows["teacher_nodes"]["node"] - 1) == active
        np.testing.assert_allclose(rows["teacher_nodes"]["best_correlation"], rho.max(axis=1), atol=1e-12)
        np.testing.assert_allclose(rows["student_nodes"]["best_correlation"], rho.max(axis=0), atol=1e-12)
        assert list(rows["student_nodes"]["best_teacher"] - 1) == [active[j] for j in rho.argmax(axis=0)]
        assert rows["layers"]["rho_mean"].item() == pytest.approx(rho.max(axis=1).mean(), abs=1e-12)
        assert rows["layers"]["recovered_fraction_0.95"].item() == (rho.max(axis=1) > 0.95).mean()
        of_replicate = pairs.query(f"replicate == {r}").pivot(
            index="teacher_node", columns="student_node", values="correlation"
        )
        np.testing.assert_allclose(of_replicate, rho, atol=1e-12)
    assert len(tables["teacher_nodes"].query("layer == 2")) == 6
