"""Oracles: the gradient written out in numpy, exact copies of teachers, and the count of zero modes of a split node."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.fitting import TINY
from tsl.experiments import polish
from tsl.experiments.full_batch import FullBatch, minimized
from tsl.experiments.polish import at_kink, duplicates, in_words, one_replicate
from tsl.fit import main as fit
from tsl.modules import half_squared_error
from tsl.modules.load_run import load_run
from tsl.networks import MLP, GaussianInitialization
from tsl.randomness import replicate_generators
from tsl.runs import Run
from tsl.theory.critical_points import critical_kind, spectrum

DIM, NODES, OUTPUTS, SAMPLES = 4, 2, 3, 300


def network(nodes: int, seed: int = 0, **settings: object) -> MLP:
    drawn = MLP(1, input_dim=DIM, widths=[nodes], output_dim=OUTPUTS, **settings).double().eval()  # type: ignore[arg-type]
    GaussianInitialization(std=1.0)(drawn, replicate_generators("student", seed, 1))
    return drawn


def split_first(teacher: MLP, parts: tuple[float, float]) -> MLP:
    """The teacher with its first node in two, of which one has a share of the fan-out."""
    student = network(NODES + 1, **{key: teacher.init_args[key] for key in ("activation", "bias")})
    (low, top), (of_low, of_top) = student.layers, teacher.layers
    share, scale = parts
    with torch.no_grad():
        low.weight[0] = torch.cat([of_low.weight[0, :1], scale * of_low.weight[0, :1], of_low.weight[0, 1:]])
        first = of_top.weight[0, :, :1]
        top.weight[0] = torch.cat([share * first, (1 - share) / scale * first, of_top.weight[0, :, 1:]], dim=1)
        for layer, source in ((low, of_low), (top, of_top)):
            if layer.bias is not None and source.bias is not None:
                layer.bias[0] = source.bias[0]
    return student


def full_batch(student: MLP, teacher: MLP) -> FullBatch:
    inputs = torch.randn(1, SAMPLES, DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return FullBatch(student, half_squared_error, inputs, teacher(inputs).detach())


def test_the_loss_is_that_of_the_network_at_the_parameters() -> None:
    student, teacher, other = network(3), network(NODES, seed=1), network(3, seed=2)
    student.layers[0].requires_grad_(False)
    loss = full_batch(student, teacher)
    moved = torch.cat([other.layers[1].weight.flatten(), other.layers[1].bias.flatten()]).detach()  # type: ignore[union-attr]
    assert len(loss.start) == len(moved) == OUTPUTS * 4
    other.layers[0].load_state_dict(student.layers[0].state_dict())
    assert loss(moved) == pytest.approx(half_squared_error(other(loss.inputs), loss.targets).item(), rel=1e-14)
    assert torch.equal(loss.flattened(loss.named(moved)), moved)
    assert len(loss.rescalings(moved)) == 0  # the lowest layer is not trained


@pytest.mark.parametrize("settings", [{}, {"activation": "quadratic"}, {"activation": "linear", "bias": False}])
def test_scaling_a_node_up_and_its_fan_out_down_keeps_the_loss(settings: dict[str, object]) -> None:
    loss = full_batch(network(3, **settings), network(NODES, seed=1))
    directions = loss.rescalings(loss.start)
    assert len(directions) == 3
    gradient = torch.func.grad(loss)(loss.start)
    assert (directions @ gradient).abs().max() < 1e-12 < gradient.norm()


def test_erf_nodes_cannot_be_rescaled() -> None:
    loss = full_batch(network(3, activation="erf"), network(NODES))
    assert loss.rescalings(loss.start).shape == (0, len(loss.start))


def test_a_teacher_is_a_minimum_and_its_split_node_has_the_known_zero_modes() -> None:
    """Of a node u and its fan-out v the features v_o x_i 1(ux > 0) and e_o ReLU(ux) have rank d + O − 1, split or not.

    Another node with its d + O parameters thus adds d + O zero modes, of which one scales it.
    """
    teacher = network(NODES, bias=False)
    loss = full_batch(teacher, teacher)
    assert critical_kind(spectrum(loss, loss.start, loss.rescalings(loss.start)), 0, 1e-10) == "minimum"
    student = split_first(teacher, (0.3, 2.0))
    loss = full_batch(student, teacher)
    assert loss(loss.start) < 1e-30
    found = spectrum(loss, loss.start, loss.rescalings(loss.start))
    assert (found.negative, found.zero) == (0, DIM + OUTPUTS - 1)
    assert duplicates(student.activations(loss.inputs).post[0][0].detach()) == [[1, 2]]


def test_two_nodes_that_cannot_part_end_at_a_saddle() -> None:
    """Both nodes of the student are the same, and so are their gradients."""
    teacher, student = network(2, seed=4, activation="erf", bias=False), network(2, activation="erf", bias=False)
    with torch.no_grad():
        for layer, dim in ((student.layers[0], 1), (student.layers[1], 2)):
            layer.weight.copy_(layer.weight.mean(dim=dim, keepdim=True).expand_as(layer.weight))
    loss = full_batch(student, teacher)
    at, iterations = minimized(loss, 1e-10, 5000)
    norm = torch.func.grad(loss)(at).norm().item()
    assert iterations < 5000
    assert norm <= 1e-10
    assert loss(at) > 1e-3
    assert critical_kind(spectrum(loss, at, loss.rescalings(at)), norm, 1e-10) == "saddle"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    fit([*TINY, "--trainer.default_root_dir", str(root), "--version", "run"])
    return root / "tiny" / "run"


def numpy_gradient_norm(student: MLP, inputs: Tensor, targets: Tensor, replicate: int) -> float:
    """Of ½ mean ‖V relu(Wx + b) + c − y‖² by the chain rule."""
    (W, b), (V, c) = (
        [part[replicate].detach().numpy() for part in (layer.weight, layer.bias)]  # type: ignore[index]
        for layer in student.layers
    )
    x, y = inputs[replicate].numpy(), targets[replicate].numpy()
    hidden = np.maximum(x @ W.T + b, 0)
    error = (hidden @ V.T + c - y) / len(x)
    back = (error @ V) * (hidden > 0)
    return float(np.sqrt(sum((part**2).sum() for part in (back.T @ x, back.sum(0), error.T @ hidden, error.sum(0)))))


def test_a_run_is_polished_to_a_gradient_of_1e_10(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert polish.main([str(run)]) == 0
    table, eigenvalues = Run(run).table("polish"), Run(run).table("eigenvalues")
    loaded = load_run(run)
    teacher, student = loaded.module.teacher.double(), loaded.module.student.double()
    inputs = torch.cat(list(loaded.train_batches()), dim=1)
    targets = teacher(inputs)
    before = half_squared_error(student(inputs), targets)
    np.testing.assert_allclose(table["loss_before"], before.detach(), rtol=1e-12)
    student.load_state_dict(torch.load(run / "polished/student.pt", weights_only=True))
    after = half_squared_error(student(inputs), targets)
    np.testing.assert_allclose(table["loss"], after.detach(), rtol=1e-6)
    assert (after < 1e-9 * before).all()
    for replicate in range(2):
        norm = numpy_gradient_norm(student, inputs, targets, replicate)
        assert norm < 1e-10
        assert table["gradient_norm"][replicate] == pytest.approx(norm, rel=1e-2)
    assert (table["kind"] == "flat").all()  # twice as many nodes as the teacher
    assert (table["parameters"] - table["rescalings"]).tolist() == eigenvalues.groupby("replicate").size().tolist()
    told = capsys.readouterr().out
    assert "flat: no eigenvalue is negative" in told
    assert "not counted: 8 zero eigenvalues" in told


def test_bad_input_is_one_message(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert polish.main([str(tmp_path / "none")]) == 2
    assert "error: " in capsys.readouterr().err
    normalized = ["--model.teacher.batch_norm", "before", "--version", "run"]
    fit([*TINY, "--trainer.default_root_dir", str(tmp_path), *normalized, "--trainer.max_epochs", "1"])
    assert polish.main([str(tmp_path / "tiny" / "run")]) == 2
    assert "but this one has batch_norm: before" in capsys.readouterr().err


def test_an_input_on_a_hyperplane_is_a_kink() -> None:
    pre = torch.tensor([[[1.0, -2.0], [0.5, 1e-12]]])
    assert at_kink(network(2), [pre])
    assert not at_kink(network(2), [pre + 1e-3])
    assert not at_kink(network(2, activation="erf"), [pre])


def test_duplicates_are_named_by_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 50, generator=generator).abs()
    assert duplicates(torch.stack([a, b, -2 * a, torch.ones(50), 3 * b + 1, a], dim=1)) == [[1, 3, 6], [2, 5]]
    assert in_words([[[1, 3, 6], [2, 5]]]) == "1 = 3 = 6, 2 = 5"
    assert in_words([[], [[1, 2]]]) == "layer 2: 1 = 2"
    assert in_words([[]]) == in_words([[], []]) == ""


def test_one_replicate_alone_is_the_same_network() -> None:
    both = MLP(2, input_dim=DIM, widths=[3], output_dim=1).double()
    GaussianInitialization(std=1.0)(both, replicate_generators("student", 0, 2))
    both.layers[1].requires_grad_(False)
    inputs = torch.randn(2, 5, DIM, dtype=torch.float64)
    alone = one_replicate(both, 1)
    assert torch.equal(alone(inputs[[1]])[0], both(inputs)[1])
    assert [p.requires_grad for p in alone.parameters()] == [True, True, False, False]
