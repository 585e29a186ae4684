from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.modules.losses import half_squared_error
from tsl.networks import MLP, FromFile, GaussianInitialization
from tsl.networks.pruning import mean_loss, node_scores, prune, without_nodes
from tsl.randomness import replicate_generators


def network(widths: list[int], replicates: int = 2, seed: int = 0, **settings: object) -> MLP:
    made = MLP(replicates, input_dim=5, widths=widths, output_dim=3, **settings).double()  # type: ignore[arg-type]
    GaussianInitialization(std=1.0)(made, replicate_generators("student", seed, replicates))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in made.layers:
            if layer.bias is not None:
                layer.bias.copy_(0.1 * torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64))
    return made


def inputs(count: int = 200, replicates: int = 2) -> list[Tensor]:
    drawn = torch.randn(replicates, count, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return [batch.contiguous() for batch in drawn.split(90, dim=1)]  # of unequal size


def weights(network: MLP, r: int) -> list[np.ndarray]:
    return [parameter[r].detach().numpy() for parameter in network.parameters()]


def with_idle_nodes(teacher: MLP, places: list[int]) -> MLP:
    """A student that is the teacher and, in every hidden layer, further nodes of no fan-out at `places`."""
    student = network([width + len(places) for width in teacher.widths], teacher.replicates, seed=3)
    state = student.state_dict()
    before: Tensor | slice = slice(None)
    for number, layer in enumerate(teacher.layers):
        rows: Tensor | slice = slice(None)
        if number < len(teacher.widths):
            rows = torch.tensor([k for k in range(student.widths[number]) if k not in places])
        for name, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            grown = state[f"layers.{number}.{name}"]
            if name == "bias":
                grown[:, rows] = tensor
            else:
                fresh = grown.clone()
                fresh[:, rows] = 0  # the teacher's nodes hear none of the idle ones below
                columns = torch.arange(grown.shape[2])[before]
                fresh[:, torch.arange(grown.shape[1])[rows][:, None], columns] = tensor.detach()
                grown.copy_(fresh)
        before = rows
    return student


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [0, 1])
def test_removing_nodes_equals_a_loop_in_numpy(hidden: int, bias: bool) -> None:
    whole = network([6, 7], bias=bias, negative_slope=0.1)
    keep = torch.tensor([[0, 2, 5], [1, 2, 3]])
    means = torch.randn(2, whole.widths[hidden], dtype=torch.float64)
    pruned = without_nodes(whole, hidden, keep, means)
    assert pruned.widths == [3, 7] if hidden == 0 else [6, 3]
    for r in range(2):
        expected = [tensor.copy() for tensor in weights(whole, r)]
        step = 2 if bias else 1
        lower, upper = step * hidden, step * (hidden + 1)
        for node in reversed(range(whole.widths[hidden])):
            if node in keep[r].tolist():
                continue
            if bias:
                expected[upper + 1] = expected[upper + 1] + expected[upper][:, node] * means[r, node].item()
                expected[lower + 1] = np.delete(expected[lower + 1], node)
            expected[lower] = np.delete(expected[lower], node, axis=0)
            expected[upper] = np.delete(expected[upper], node, axis=1)
        for got, wanted in zip(weights(pruned, r), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_dead_and_constant_nodes_go_unnoticed() -> None:
    whole, batches = network([6, 7]), inputs()
    with torch.no_grad():
        for layer in whole.layers[:2]:
            layer.weight[:, 1:3] = 0
            layer.bias[:, 1], layer.bias[:, 2] = 1.7, -2.0  # always 1.7; never on
    smaller = whole
    for hidden in range(2):
        _, means = node_scores(smaller, whole, hidden, batches, "correlation")
        kept = [k for k in range(smaller.widths[hidden]) if k not in (1, 2)]
        smaller = without_nodes(smaller, hidden, torch.tensor([kept, kept]), means)
    assert smaller.widths == [4, 5]
    for batch in batches:
        torch.testing.assert_close(smaller(batch), whole(batch), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("hidden", [0, 1])
def test_with_batch_norm_a_removed_node_is_as_good_as_its_mean(
    make_network: Callable[..., MLP], place: str, hidden: int
) -> None:
    """The network without nodes 1 and 2 computes what the whole one does with their outputs held at given means."""
    whole = make_network(batch_norm=place, widths=[5, 6]).eval()
    kept = [k for k in range(whole.widths[hidden]) if k not in (1, 2)]
    means = torch.randn(2, whole.widths[hidden], dtype=torch.float64)
    pruned = without_nodes(whole, hidden, torch.tensor([kept, kept]), means)
    assert not pruned.training
    batch = inputs()[0]
    held = whole.activations(batch).post[hidden]
    held[:, :, 1:3] = means[:, 1:3].unsqueeze(1)
    for number, layer in enumerate(whole.layers):
        if number > hidden:
            held = layer(held)
            if number < 2:
                norm = whole.norms[number]
                held = norm(held).relu() if place == "before" else norm(held.relu())
    torch.testing.assert_close(pruned(batch), held, rtol=1e-11, atol=1e-11)


def test_a_student_with_batch_norm_is_pruned_in_evaluation_mode(make_network: Callable[..., MLP]) -> None:
    student, batches = make_network(batch_norm="after", dropout=0.1), inputs()
    with pytest.raises(InputError, match=r"call student.eval\(\) first"):
        prune(student, student, batches, half_squared_error)
    student.eval()
    pruned, _ = prune(student, student, batches, half_squared_error, by="strength", max_loss_increase=0.0)
    assert pruned.dropout == 0.1
    torch.testing.assert_close(pruned(batches[0]), student(batches[0]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("limits", [{"max_loss_increase": 0.01}, {"threshold": 1 - 1e-9}, {"by": "strength"}])
def test_a_teacher_with_idle_nodes_prunes_back_to_the_teacher(limits: dict[str, object]) -> None:
    teacher, batches = network([4, 3], seed=2), inputs()
    if limits == {"by": "strength"}:
        limits = {"by": "strength", "threshold": 1e-9}
    for post in teacher.activations(batches[0]).post:
        assert (post.amax(dim=1) > 0).all(), "a dead teacher node correlates with nothing: choose another seed"
    student = with_idle_nodes(teacher, places=[0, 2, 5])
    assert student.widths == [7, 6]
    pruned, report = prune(student, teacher, batches, half_squared_error, **limits)  # type: ignore[arg-type]
    assert [row[:3] for row in report] == [(1, 7, 4), (2, 6, 3)]
    for row in report:
        assert row.loss_before.max() < 1e-28
        assert row.loss_after.max() < 1e-28
    for got, expected in zip(pruned.parameters(), teacher.parameters(), strict=True):
        assert torch.equal(got, expected)
    assert student.widths == [7, 6]


def numpy_loss(student: MLP, teacher: MLP, batches: list[Tensor]) -> np.ndarray:
    losses = np.zeros(2)
    x = torch.cat(batches, dim=1).numpy()
    for r in range(2):
        outputs = []
        for made in (student, teacher):
            signal, parameters = x[r], weights(made, r)
            for number in range(0, len(parameters), 2):
                signal = signal @ parameters[number].T + parameters[number + 1]
                signal = np.maximum(signal, 0) if number < len(parameters) - 2 else signal
            outputs.append(signal)
        losses[r] = 0.5 * ((outputs[0] - outputs[1]) ** 2).sum(axis=1).mean()
    return losses


@pytest.mark.parametrize("by", ["correlation", "strength"])
@pytest.mark.parametrize("budget", [0.0, 0.05, 0.5])
def test_every_replicate_keeps_the_budget_and_one_node_more_would_break_it(by: str, budget: float) -> None:
    teacher, batches = network([4], seed=1), inputs()
    student = with_idle_nodes(teacher, places=[1, 2, 4, 6, 7, 8])
    with torch.no_grad():
        idle = student.layers[1].weight
        idle += 0.1 * torch.randn(idle.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    limits = {"by": by, "max_loss_increase": budget}
    pruned, (row,) = prune(student, teacher, batches, half_squared_error, **limits)  # type: ignore[arg-type]
    before, after = numpy_loss(student, teacher, batches), numpy_loss(pruned, teacher, batches)
    np.testing.assert_allclose(row.loss_before, before, rtol=1e-9)
    np.testing.assert_allclose(row.loss_after, after, rtol=1e-9)
    assert (after <= before * (1 + budget) * (1 + 1e-12)).all()
    scores, means = node_scores(student, teacher, 0, batches, by)  # type: ignore[arg-type]
    keep = torch.stack([replicate.sort(descending=True).indices[: row.nodes_after - 1] for replicate in scores])
    one_less = without_nodes(student, 0, keep, means)
    assert (numpy_loss(one_less, teacher, batches) > before * (1 + budget)).any()
    assert budget < 0.5 or row.nodes_after < row.nodes_before


def test_every_replicate_keeps_as_many_nodes_as_the_neediest() -> None:
    """At a threshold, against correlations by numpy; the other replicates keep their next best nodes."""
    teacher, student, batches = network([4], seed=1), network([8], seed=2), inputs()
    x = torch.cat(batches, dim=1)
    posts = teacher.activations(x).post[0].detach().numpy(), student.activations(x).post[0].detach().numpy()
    best = np.stack([np.corrcoef(posts[0][r].T, posts[1][r].T)[:4, 4:].max(axis=0) for r in range(2)])
    scores, means = node_scores(student, teacher, 0, batches, "correlation")
    np.testing.assert_allclose(scores, best, atol=1e-12)
    np.testing.assert_allclose(means, posts[1].mean(axis=1), atol=1e-12)
    threshold = float(
        np.sort(best, axis=None)[-6:-4].mean()
    )  # 5 of the 16 nodes reach it: not as many in each replicate
    needed = int((best >= threshold).sum(axis=1).max())
    pruned, (row,) = prune(student, teacher, batches, half_squared_error, threshold=threshold)
    assert (row.nodes_after, pruned.widths) == (needed, [needed])
    for r in range(2):
        kept = np.sort(np.argsort(-best[r])[:needed])
        np.testing.assert_array_equal(weights(pruned, r)[0], weights(student, r)[0][kept])


def test_strength_is_the_norm_of_the_gradient_of_the_output() -> None:
    """By autograd, sample by sample, at both layers."""
    made = network([4, 3])
    x = inputs()[0][:, :20]
    for hidden in range(2):
        scores, _ = node_scores(made, made, hidden, [x], "strength")
        for r in range(2):
            post = made.activations(x).post[hidden][r].detach()
            squared = []
            for sample in post:

                def rest(signal: Tensor, r: int = r, hidden: int = hidden) -> Tensor:
                    for layer in made.layers[hidden + 1 : -1]:
                        signal = (layer.weight[r] @ signal + layer.bias[r]).relu()
                    return made.layers[-1].weight[r] @ signal + made.layers[-1].bias[r]

                squared.append(torch.autograd.functional.jacobian(rest, sample).square().sum(dim=0))
            torch.testing.assert_close(scores[r], torch.stack(squared).mean(dim=0).sqrt(), rtol=1e-10, atol=1e-12)


def test_a_layer_keeps_a_node_and_a_batch_counts_by_its_size() -> None:
    teacher, student, batches = network([4], seed=1), network([8], seed=2), inputs()
    pruned, _ = prune(student, teacher, batches, half_squared_error, threshold=1.0)
    assert pruned.widths == [1]
    np.testing.assert_allclose(
        mean_loss(student, teacher, batches, half_squared_error).detach(), numpy_loss(student, teacher, batches)
    )


def test_what_cannot_be_pruned_is_named() -> None:
    teacher, student, batches = network([4], seed=1), network([8], seed=2), inputs()
    with pytest.raises(InputError, match="threshold = 90: expected a correlation, from -1 to 1"):
        prune(student, teacher, batches, half_squared_error, threshold=90)
    with torch.no_grad():
        student.layers[0].bias[1, 0] = float("nan")
    with pytest.raises(InputError, match="loss is not finite"):
        prune(student, teacher, batches, half_squared_error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # within torch.export
def test_a_pruned_student_exports_with_any_number_of_inputs() -> None:
    teacher, student, batches = network([4, 3], seed=1), network([8, 6], seed=2), inputs()
    pruned, _ = prune(student, teacher, batches, half_squared_error, threshold=0.5)
    assert pruned.widths != student.widths
    size = torch.export.Dim("inputs")
    exported = torch.export.export(pruned, (batches[0],), dynamic_shapes={"inputs": {1: size}}).module()
    for batch in batches:
        torch.testing.assert_close(exported(batch), pruned(batch), rtol=1e-12, atol=1e-12)


def test_from_file_gives_the_weights_back_and_names_what_is_wrong(tmp_path: Path) -> None:
    made = network([4])
    path = tmp_path / "student.pt"
    torch.save(made.state_dict(), path)
    other = network([4], seed=9)
    FromFile(str(path))(other, [])
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), other.parameters(), strict=True))
    with pytest.raises(InputError, match=r"student.pt holds another network; set replicates and widths"):
        FromFile(str(path))(network([5]), [])
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"student.pt is damaged"):
        FromFile(str(path))(other, [])
    with pytest.raises(InputError, match=r"gone.pt: no such file"):
        FromFile(str(tmp_path / "gone.pt"))(other, [])
