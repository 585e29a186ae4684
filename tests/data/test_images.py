"""What the DataModules of images make of images: splits, minibatches, crops and labels, each replicate by its seed."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torchvision.transforms.v2 import functional

from tests.data.image_files import cifar10, ready, write_cifar10
from tsl.data import TeacherAgnostic, TeacherAware
from tsl.data.batch import Labelled
from tsl.data.budget import budget_epochs
from tsl.errors import InputError
from tsl.networks.hyperplanes import ConvolutionHyperplanes
from tsl.randomness import generator

UNIT: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
"""With these constants, images are 255ths."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cifar10")
    write_cifar10(path)
    return path


@pytest.fixture(scope="module")
def images(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tensor:
    """`[70, 3, 32, 32]`, of which the last 20 are for the test."""
    return torch.from_numpy(write_cifar10(tmp_path_factory.mktemp("again"))[0]) / 255


def rows_of(batch: Labelled, images: Tensor) -> list[int]:
    """Which images a batch of one replicate holds, by their pixels; their labels go with them."""
    distance = (batch.inputs.flatten(1)[:, None] - images.flatten(1)).abs().amax(dim=-1)
    assert (distance.amin(dim=1) < 1e-6).all()
    rows = distance.argmin(dim=1)
    assert torch.equal(batch.labels, rows % 10)
    return rows.tolist()


def epoch_of(data: Any, epoch: int = 0) -> Labelled:
    """All minibatches of an epoch, inputs `[R, B, ...]`."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    inputs, labels = zip(*((chunk.inputs, chunk.labels) for chunk in loader), strict=True)
    return Labelled(torch.cat(inputs).transpose(0, 1).flatten(1, 2), torch.cat(labels).transpose(0, 1).flatten(1, 2))


def evaluated(loader: Any) -> Labelled:
    inputs, labels = zip(*loader, strict=True)
    return Labelled(torch.cat(inputs, dim=1), torch.cat(labels, dim=1))


def of_replicate(batch: Labelled, replicate: int) -> Labelled:
    return Labelled(*(part[replicate] for part in batch))


def test_batches_have_the_shapes_that_modules_expect(folder: Path) -> None:
    data = ready(cifar10(folder, replicates=2))
    chunk = next(iter(data.train_dataloader()))
    assert chunk.inputs.shape == (3, 2, 5, 3, 32, 32)
    assert (chunk.labels.shape, chunk.labels.dtype) == ((3, 2, 5), torch.int64)
    [loader] = data.val_dataloader()
    assert next(iter(loader)).inputs.shape == (2, 20, 3, 32, 32)
    assert len(data.train_dataloader()) == 4
    assert data.input_shape == [3, 32, 32]


def test_every_image_is_in_one_split_and_each_replicates_split_is_its_own(folder: Path, images: Tensor) -> None:
    data = ready(cifar10(folder, val_size=15, replicates=3, **UNIT))
    train, val, test = epoch_of(data), evaluated(data.val_dataloader()[0]), evaluated(data.test_dataloader())
    held_out = []
    for replicate in range(3):
        split = [rows_of(of_replicate(part, replicate), images) for part in (train, val, test)]
        assert sorted(row for rows in split for row in rows) == list(range(70))
        assert split[2] == list(range(50, 70))
        held_out.append(split[1])
    assert [loader.split for loader in (*data.val_dataloader(), data.test_dataloader())] == ["val", "test"]
    assert len({tuple(sorted(rows)) for rows in held_out}) == 3
    assert data.train_sizes == [35] * 3


def test_without_validation_images_the_test_images_are_evaluated(folder: Path) -> None:
    data = ready(cifar10(folder))
    [val] = data.val_dataloader()
    assert val.split == "val"
    assert torch.equal(evaluated(val).inputs, evaluated(data.test_dataloader()).inputs)


SETTINGS: list[dict[str, Any]] = [
    {"crop_padding": 4, "flip": True},
    {"val_size": 10, "crop_padding": 2},
    {"train_size": [40, 21, 30], "flip": True},
    {"train_size": [8, 5, 7], "crop_padding": 2, "augmentation": TeacherAgnostic(0.5, directions=3)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_replicate_r_among_many_has_the_images_of_the_replicate_alone(folder: Path, settings: dict[str, Any]) -> None:
    steps = {"steps_per_epoch": 4}
    many = ready(cifar10(folder, replicates=3, seed=7, **steps, **settings))
    for replicate in range(3):
        size = many.train_sizes[replicate]
        one = settings | {"train_size": size} if "train_size" in settings else settings
        alone = ready(cifar10(folder, seed=7 + replicate, **steps, **one))
        for epoch in (0, 2):
            for part, expected in zip(epoch_of(many, epoch), epoch_of(alone, epoch), strict=True):
                assert torch.equal(part[replicate], expected[0])
        for part, expected in zip(
            evaluated(many.val_dataloader()[0]), evaluated(alone.val_dataloader()[0]), strict=True
        ):
            assert torch.equal(part[replicate], expected[0])


def test_crops_are_anew_in_every_epoch_and_those_that_their_generators_draw(folder: Path, images: Tensor) -> None:
    data = ready(cifar10(folder, crop_padding=4, flip=True, seed=3, **UNIT))
    order = torch.randperm(50, generator=generator("split", 3))
    seen = []
    for epoch in range(2):
        top, left = torch.randint(9, (50, 2), generator=generator("crops", 3, epoch)).unbind(dim=1)
        flip = torch.randint(2, (50,), generator=generator("flips", 3, epoch))
        expected = []
        for place, row in enumerate(order.tolist()):
            padded = functional.pad(images[row], [4] * 4)
            crop = functional.crop(padded, int(top[place]), int(left[place]), 32, 32)
            expected.append(functional.horizontal_flip(crop) if flip[place] else crop)
        batch = of_replicate(epoch_of(data, epoch), 0)
        distance = (batch.inputs.flatten(1)[:, None] - torch.stack(expected).flatten(1)).abs().amax(dim=-1)
        assert sorted(distance.argmin(dim=1).tolist()) == list(range(50))
        assert (distance.amin(dim=1) < 1e-6).all()
        assert torch.equal(batch.labels, order[distance.argmin(dim=1)] % 10)
        seen.append(batch.inputs.sum(dim=(1, 2, 3)).sort().values)
    assert not torch.allclose(seen[0], seen[1])


def test_resumes_within_an_epoch(folder: Path) -> None:
    settings = {"crop_padding": 4, "flip": True, "replicates": 2}
    loader = ready(cifar10(folder, **settings)).train_dataloader()
    loader.sampler.set_epoch(3)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    rest = list(iterator)
    resumed = ready(cifar10(folder, **settings)).train_dataloader()
    resumed.load_state_dict(state)
    resumed.sampler.set_epoch(3)
    for chunk, expected in zip(resumed, rest, strict=True):
        assert torch.equal(chunk.inputs, expected.inputs)
        assert torch.equal(chunk.labels, expected.labels)


def test_processes_share_minibatches_and_evaluated_images(folder: Path) -> None:
    settings = {"crop_padding": 4, "flip": True, "batch_size": 6}
    whole = ready(cifar10(folder, **settings))
    parts = [ready(cifar10(folder, **settings), global_rank=rank, world_size=2) for rank in range(2)]
    chunks = [torch.cat([chunk.inputs for chunk in data.train_dataloader()]) for data in (whole, *parts)]
    assert torch.equal(torch.stack(chunks[1:], dim=3).flatten(2, 3), chunks[0])
    labels = [evaluated(data.val_dataloader()[0]).labels for data in (whole, *parts)]
    assert torch.equal(torch.stack(labels[1:], dim=2).flatten(1), labels[0])


def test_a_chunks_size_changes_nothing(folder: Path) -> None:
    whole = epoch_of(ready(cifar10(folder, crop_padding=4, flip=True, chunk_size=100)))
    for size in (1, 4):
        again = epoch_of(ready(cifar10(folder, crop_padding=4, flip=True, chunk_size=size)))
        assert torch.equal(again.inputs, whole.inputs)


def test_evaluated_training_images_are_neither_cropped_nor_mirrored(folder: Path, images: Tensor) -> None:
    data = ready(cifar10(folder, crop_padding=4, flip=True, evaluate_train=True, train_size=30, **UNIT))
    epoch_of(data)
    loaders = data.val_dataloader()
    assert [loader.split for loader in loaders] == ["val", "train"]
    assert len(set(rows_of(of_replicate(evaluated(loaders[1]), 0), images[:50]))) == 30


def test_the_theorems_steps_start_from_what_was_cropped_mirrored_and_normalized(folder: Path) -> None:
    settings: dict[str, Any] = {"crop_padding": 4, "flip": True, "train_size": 6, "batch_size": 6}
    plain = ready(cifar10(folder, **settings))
    data = ready(cifar10(folder, augmentation=TeacherAgnostic(0.5, directions=2), **settings))
    assert data.augmented_sizes == [30]
    directions = []
    for epoch in range(2):
        base = plain.train_samples(epoch)[:][0]
        samples = data.train_samples(epoch)[:][0].unflatten(0, (6, 5))
        steps = (samples - base[:, None]).flatten(2)
        assert not steps[:, 0].any()
        torch.testing.assert_close(steps[:, 1::2], -steps[:, 2::2], rtol=0, atol=1e-6)
        torch.testing.assert_close(steps[:, 1:].abs().sum(dim=-1), torch.full((6, 4), 0.5), rtol=0, atol=1e-5)
        directions.append(steps[:, 1::2].argmax(dim=-1))
    assert torch.equal(directions[0], directions[1])
    batch = of_replicate(epoch_of(data), 0)
    assert sorted(batch.labels.tolist()) == sorted(plain.train_samples(0).labels[0].tolist() * 5)


def test_teacher_aware_samples_of_cropped_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, bias = torch.randn(2, 4, 3, 3, 3), torch.randn(2, 4)
    planes = ConvolutionHyperplanes(kernel, bias, (3, 32, 32))
    monkeypatch.setattr("tsl.data.augmentation.hyperplanes", lambda teacher, shape: planes)
    data = cifar10(folder, crop_padding=4, train_size=4, replicates=2, augmentation=TeacherAware(2.0, 0.0))
    data.teacher = torch.nn.Identity()
    samples = ready(data).train_samples(0)[:].unflatten(1, (4, 3))
    for replicate in range(2):
        for on, above, below in samples[replicate]:
            pre = conv2d(torch.stack([on, above, below]), kernel[replicate], bias[replicate]).flatten(1)
            node = pre[0].abs().argmin()
            length = kernel[replicate].flatten(1).norm(dim=1)[node // 900]
            torch.testing.assert_close(pre[:, node] / length, torch.tensor([0.0, 2.0, -2.0]), rtol=0, atol=1e-4)


def test_images_are_kept_once_for_all_replicates(folder: Path) -> None:
    data = ready(cifar10(folder, replicates=8, crop_padding=4))
    kept = data._pixels.runs.untyped_storage()
    assert kept.nbytes() == 70 * 3 * 36 * 36 + 4 * 36 + 4  # zeros to the right and below, and before the first image
    assert data.train_samples(0).inputs.dtype == torch.int64  # rows, not pixels
    data.teardown("fit")
    assert not hasattr(data, "_pixels")


def test_inputs_have_the_trainers_precision(folder: Path) -> None:
    data = cifar10(folder)
    data.trainer = pl.Trainer(precision="64-true", accelerator="cpu", logger=False, enable_checkpointing=False)
    data.setup("fit")
    assert epoch_of(data).inputs.dtype == torch.float64


def test_conditioning_inputs_are_training_images(folder: Path, images: Tensor) -> None:
    data = ready(cifar10(folder, train_size=[9, 12], replicates=2, crop_padding=4, flip=True, **UNIT))
    inputs = data.conditioning_inputs()
    assert [len(rows) for rows in inputs] == [9, 12]
    distance = (inputs[0][:, None] - images[:50].flatten(1)).abs().amax(dim=-1)
    assert (distance.amin(dim=1) < 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_size": 50}, r"data.init_args.val_size = 50, .* none of the 50 images is left to train on"),
        ({"val_size": 20, "train_size": 31}, r"data.init_args.train_size = 31, but 30 of 50 images are left"),
        ({"batch_size": 51}, r"batch_size = 51 times 1 steps an epoch needs 51 .* are 50"),
        ({"steps_per_epoch": 11}, r"11 steps an epoch needs 55 training samples, but there are 50: lower"),
    ],
)
def test_more_images_than_there_are(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ready(cifar10(folder, **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_size": [5, 7], "replicates": 3}, "data.init_args.train_size lists 2 values for 3 replicates"),
        ({"train_size": [5, 7], "replicates": 2, "evaluate_train": True}, "set evaluate_train to false"),
        ({"augmentation": TeacherAgnostic(1.0, directions=3073)}, "directions = 3073, but inputs have only 3072"),
    ],
)
def test_settings_that_cannot_go_together(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cifar10(folder, **settings)


def test_a_budget_in_samples() -> None:
    assert budget_epochs(500, {"train_size": 50, "batch_size": 5, "augmentation": None}) == 10
    assert budget_epochs(400, {"train_size": None, "batch_size": 5, "steps_per_epoch": 8}) == 10
    with pytest.raises(InputError, match=r"set data.init_args.steps_per_epoch"):
        budget_epochs(400, {"train_size": None, "batch_size": 5, "steps_per_epoch": None})
