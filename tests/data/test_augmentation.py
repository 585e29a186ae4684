"""Each augmentation against its definition, spelled out sample by sample."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from tests.conftest import DIM, TEACHER_NODES, make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.data import Chunk, Samples, TeacherAgnostic, TeacherAware
from tsl.data.augmentation import rotation, subsets
from tsl.errors import InputError
from tsl.networks import MLP, SeparableInitialization
from tsl.networks.hyperplanes import ConvolutionHyperplanes
from tsl.randomness import replicate_generators
from tsl.runs.records import read_table

R, N = 3, 8


def some_inputs(*shape: int) -> Tensor:
    return torch.randn(R, N, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1.5


def some_teacher() -> MLP:
    network = MLP(R, input_dim=DIM, widths=[TEACHER_NODES], output_dim=2).double()
    SeparableInitialization(bias=-0.3)(network, replicate_generators("teacher", 0, R))
    return network


def augmented(augmentation: Any, inputs: Tensor, teacher: nn.Module | None = None, seed: int = 0) -> Samples:
    generators = replicate_generators("augmentation", seed, len(inputs))
    return augmentation(Samples(inputs), generators, teacher or nn.Identity())


def test_the_augmentation_of_a_teacher_without_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"TeacherAware needs a teacher: set the DataModule's `teacher` before"):
        TeacherAware()(Samples(some_inputs(DIM)), replicate_generators("augmentation", 0, R), None)


@pytest.mark.parametrize("shape", [(DIM,), (2, 3, 4)])
def test_agnostic_samples_are_the_inputs_and_steps_along_every_axis(shape: tuple[int, ...]) -> None:
    inputs, dim = some_inputs(*shape), torch.Size(shape).numel()
    samples = augmented(TeacherAgnostic(step=0.5), inputs)
    assert len(samples) == (2 * dim + 1) * N
    everything = samples[:].reshape(R, N, 2 * dim + 1, dim)
    for r in range(R):
        for n in range(N):
            x = inputs[r, n].flatten()
            expected = [x]
            for i in range(dim):
                unit = torch.zeros(dim, dtype=torch.float64)
                unit[i] = 1.0
                expected += [x + 0.5 * unit, x - 0.5 * unit]
            assert torch.equal(everything[r, n], torch.stack(expected))


def test_agnostic_directions_of_a_rotation_are_orthonormal_and_each_replicates_own() -> None:
    inputs = some_inputs(DIM)
    everything = augmented(TeacherAgnostic(step=0.5, rotate=True), inputs)[:].unflatten(1, (N, 2 * DIM + 1))
    steps = everything - inputs.unsqueeze(2)
    assert not steps[:, :, 0].any()
    directions = steps[:, :, 1::2] / 0.5
    torch.testing.assert_close(steps[:, :, 2::2], -steps[:, :, 1::2], rtol=0, atol=1e-12)
    torch.testing.assert_close(directions, directions[:, :1].expand_as(directions), rtol=0, atol=1e-12)
    identity = torch.eye(DIM, dtype=torch.float64).expand(R, -1, -1)
    torch.testing.assert_close(directions[:, 0] @ directions[:, 0].mT, identity, rtol=0, atol=1e-12)
    assert not torch.allclose(directions[0, 0], directions[1, 0])


def test_rotations_are_uniform() -> None:
    drawn = torch.stack([rotation(3, torch.Generator().manual_seed(seed)) for seed in range(4000)])
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(3, 3, dtype=torch.float64), rtol=0, atol=0.05)
    torch.testing.assert_close(
        drawn.square().mean(0), torch.full((3, 3), 1 / 3, dtype=torch.float64), rtol=0, atol=0.03
    )
    assert 0.45 < (torch.linalg.det(drawn) > 0).double().mean() < 0.55


def test_agnostic_subset_steps_along_different_axes_drawn_for_each_input() -> None:
    inputs = some_inputs(DIM)
    samples = augmented(TeacherAgnostic(step=0.5, directions=2), inputs)
    assert len(samples) == 5 * N
    steps = samples[:].unflatten(1, (N, 5)) - inputs.unsqueeze(2)
    axes = steps[:, :, [1, 3]].argmax(dim=-1)
    assert torch.equal(steps[:, :, [2, 4]].argmin(dim=-1), axes)
    assert (axes[..., 0] != axes[..., 1]).all()
    assert axes.unique().numel() == DIM
    torch.testing.assert_close(steps.abs().sum(dim=-1)[..., 1:], torch.full((R, N, 4), 0.5, dtype=torch.float64))


def test_subsets_are_uniform() -> None:
    drawn = subsets(30_000, 5, 2, torch.Generator().manual_seed(0))
    pairs = drawn.sort(dim=-1).values @ torch.tensor([5, 1])
    counts = pairs.bincount()[pairs.unique()]
    assert len(counts) == 10
    assert ((counts - 3000) ** 2 / 3000).sum() < 30  # chi-squared, 9 degrees of freedom: p < 5e-4


def test_more_directions_than_there_are() -> None:
    with pytest.raises(InputError, match=r"augmentation.init_args.directions = 7, but inputs have only 6 directions"):
        make_data(augmentation=TeacherAgnostic(step=1.0, directions=7))


def test_aware_samples_lie_on_and_beside_the_hyperplanes_of_all_nodes_evenly() -> None:
    inputs, teacher = some_inputs(DIM), some_teacher()
    samples = augmented(TeacherAware(low=2.0, width=1.0), inputs, teacher)
    assert len(samples) == 3 * N
    everything = samples[:].unflatten(1, (N, 3))
    weight, bias = teacher.layers[0].weight, teacher.layers[0].bias
    for r in range(R):
        nodes = []
        for n in range(N):
            on, above, below = everything[r, n]
            [node] = [j for j in range(TEACHER_NODES) if abs(weight[r, j] @ on + bias[r, j]) < 1e-9]
            nodes.append(node)
            normal = weight[r, node] / weight[r, node].norm()
            distance = (above - on) @ normal
            assert 2.0 <= distance <= 3.0
            torch.testing.assert_close(above - on, distance * normal, rtol=0, atol=1e-9)
            torch.testing.assert_close(below - on, -distance * normal, rtol=0, atol=1e-9)
            # The input was moved along the normal alone.
            moved = inputs[r, n] - on
            torch.testing.assert_close(moved, (moved @ normal) * normal, rtol=0, atol=1e-9)
        assert sorted(nodes) == sorted([0, 1, 2, 3] * 2)


def test_aware_samples_rescaled_as_the_paper_did() -> None:
    inputs, teacher = some_inputs(DIM), some_teacher()
    plain = augmented(TeacherAware(), inputs, teacher)[:]
    rescaled = augmented(TeacherAware(rescale=1.5), inputs, teacher)[:]
    norm = plain.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(rescaled, plain / norm * 1.5 * DIM**0.5)


def pre_norms(kernel: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """How long the gradient of every pre-activation of a convolution is: the part of its kernel on the image."""
    inside = torch.ones(1, *shape, dtype=torch.float64)
    return conv2d(inside, kernel.square(), None, stride, padding).sqrt().flatten()


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1), (2, 1)])
def test_hyperplanes_of_a_convolution_are_its_pre_activations(stride: int, padding: int) -> None:
    kernel = torch.randn(R, 4, 2, 3, 2, dtype=torch.float64)
    bias = torch.randn(R, 4, dtype=torch.float64)
    images = some_inputs(2, 6, 5)
    planes = ConvolutionHyperplanes(kernel, bias, (2, 6, 5), stride, padding)
    for r in range(R):
        pre = conv2d(images[r], kernel[r], bias[r], stride, padding).flatten(1)  # [N, channel · row · column]
        assert planes.nodes == pre.shape[1]
        normal, offset = planes.of(torch.arange(planes.nodes).expand(R, -1))
        length = pre_norms(kernel[r], images[r].shape[1:], stride, padding)
        torch.testing.assert_close(normal[r].norm(dim=-1), torch.ones(planes.nodes, dtype=torch.float64))
        torch.testing.assert_close(images[r].flatten(1) @ normal[r].mT + offset[r], pre / length, rtol=0, atol=1e-12)


def test_aware_samples_of_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, bias = torch.randn(R, 4, 2, 3, 3, dtype=torch.float64), torch.randn(R, 4, dtype=torch.float64)
    images = some_inputs(2, 6, 5)
    planes = ConvolutionHyperplanes(kernel, bias, (2, 6, 5))
    monkeypatch.setattr("tsl.data.augmentation.hyperplanes", lambda teacher, shape: planes)
    everything = augmented(TeacherAware(low=2.0, width=0.0), images)[:].unflatten(1, (N, 3))
    assert everything.shape == (R, N, 3, 2, 6, 5)
    for r in range(R):
        for n in range(N):
            on, above, below = conv2d(everything[r, n], kernel[r], bias[r])
            channel, row, column = (on.abs() < 1e-9).nonzero()[0].tolist()
            length = kernel[r, channel].norm()
            torch.testing.assert_close(above[channel, row, column], 2 * length)
            torch.testing.assert_close(below[channel, row, column], -2 * length)


def test_aware_without_hyperplanes_to_be_had() -> None:
    with pytest.raises(InputError, match=r"needs the hyperplanes .* Identity does not give them"):
        augmented(TeacherAware(), some_inputs(DIM))


def test_aware_of_a_node_without_weights() -> None:
    teacher = some_teacher()
    teacher.layers[0].weight.data[1, 2] = 0
    with pytest.raises(InputError, match="a node of the teacher's lowest layer has no weights"):
        augmented(TeacherAware(), some_inputs(DIM), teacher)


AUGMENTATIONS: list[Callable[[], Any]] = [
    lambda: TeacherAgnostic(step=0.5),
    lambda: TeacherAgnostic(step=0.5, rotate=True, directions=3),
    lambda: TeacherAware(rescale=1.5),
]


@pytest.mark.parametrize("make", AUGMENTATIONS)
@pytest.mark.parametrize("fresh_inputs", [False, True])
def test_a_run_trains_on_the_samples_and_replicate_r_alone_has_the_same(
    fit: Any, make: Callable[[], Any], fresh_inputs: bool
) -> None:
    def trained_on(**settings: Any) -> Tensor:
        chunks: list[Tensor] = []

        class Keep(pl.Callback):
            def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Chunk, batch_idx: int) -> None:
                chunks.append(batch.inputs)

        module = make_module(replicates=settings["replicates"], seed=settings["seed"])
        data = make_data(augmentation=make(), replacement=False, fresh_inputs=fresh_inputs, **settings)
        fit(module, data, callbacks=[Keep()], max_epochs=2)
        return torch.cat(chunks)

    sizes = [12, 20, 15]
    many = trained_on(replicates=3, seed=4, train_size=sizes, steps_per_epoch=6)
    for r in range(3):
        alone = trained_on(replicates=1, seed=4 + r, train_size=sizes[r], steps_per_epoch=6)
        torch.testing.assert_close(many[:, r], alone[:, 0], rtol=0, atol=1e-12)


def test_records_tell_both_sizes(fit: Any, tmp_path: Path) -> None:
    data = make_data(augmentation=TeacherAgnostic(step=0.5), train_size=[5, 7], replicates=4)
    fit(make_module(replicates=4), data, callbacks=[SpecializationRecords()])
    losses = read_table(tmp_path, "losses")
    assert losses["train_size"].tolist() == [5, 7, 5, 7]
    assert losses["augmented_size"].tolist() == [65, 91, 65, 91]


def test_training_samples_are_evaluated_as_they_are_trained_on(fit: Any) -> None:
    seen: list[Tensor] = []

    class Keep(pl.Callback):
        def on_validation_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Tensor, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            if dataloader_idx == 1:
                seen.append(batch)

    data = make_data(augmentation=TeacherAware(), evaluate_train=True, train_size=9, eval_batch_size=4, replicates=2)
    fit(make_module(replicates=2), data, callbacks=[Keep()])
    assert [batch.shape[1] for batch in seen] == [4] * 6 + [3]
    assert torch.equal(
        torch.cat(seen, dim=1),
        data.augmentation(
            Samples(
                torch.stack([data.distribution.sample(9, DIM, g) for g in replicate_generators("train_inputs", 0, 2)])
            ),
            replicate_generators("augmentation", 0, 2),
            data.teacher,
        )[:],
    )


def test_evaluating_training_samples_of_different_numbers() -> None:
    with pytest.raises(InputError, match=r"set evaluate_train to false"):
        make_data(evaluate_train=True, train_size=[5, 7], replicates=2)


def test_sizes_that_do_not_repeat_evenly() -> None:
    with pytest.raises(InputError, match=r"data.init_args.train_size lists 2 values for 3 replicates"):
        make_data(train_size=[5, 7], replicates=3)


def test_an_epoch_without_replacement_takes_every_step_along_every_axis_once(fit: Any) -> None:
    seen: list[Tensor] = []

    class Keep(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Chunk, batch_idx: int) -> None:
            seen.append(batch.inputs.transpose(0, 1).flatten(1, 2))

    data = make_data(augmentation=TeacherAgnostic(step=0.5), replacement=False, train_size=5, replicates=2)
    trainer = fit(make_module(replicates=2), data, callbacks=[Keep()])
    assert trainer.global_step == 13
    drawn = torch.cat(seen, dim=1)
    generators = replicate_generators("train_inputs", 0, 2)
    for r in range(2):
        inputs = data.distribution.sample(5, DIM, generators[r])
        steps = 0.5 * torch.cat([torch.zeros(1, DIM), torch.eye(DIM), -torch.eye(DIM)]).double()
        expected = (inputs[:, None] + steps).flatten(0, 1)
        assert sorted(drawn[r].tolist()) == sorted(expected.tolist())
