"""Students from other projects: each replicate is what its module alone would be."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from tests.labelled import TinyImages
from tsl.errors import InputError
from tsl.modules import SGD, TeacherStudent, mse
from tsl.networks import ConvNet, DefaultInitialization, ExternalStudent, GaussianInitialization
from tsl.randomness import replicate_generators

SHAPE = [2, 8, 8]


class Small(nn.Module):
    """A network with BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True)), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)
        )
        self.dropout, self.top = nn.Dropout(0.2), nn.Linear(64, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images.mul_(0.5)  # in place, as some modules normalize
        output: torch.Tensor = self.top(self.dropout(self.features(images).flatten(1)))
        return output


LAYERS = ["features.2", "features.4"]
student = partial(ExternalStudent, input_shape=SHAPE, layers=LAYERS, module=Small)
teacher = partial(ConvNet, input_shape=SHAPE, widths=[3, 4], output_dim=3)


def module(**settings: Any) -> TeacherStudent:
    defaults: dict[str, Any] = {
        "teacher": teacher,
        "teacher_initialization": DefaultInitialization(),
        "student_initialization": None,
        "student": student,
        "loss": mse,
        "optimizer": partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    }
    return TeacherStudent(**(defaults | settings))


def images(**settings: Any) -> TinyImages:
    return TinyImages(SHAPE, train_size=48, val_size=20, **settings)


def test_the_second_of_two_replicates_is_the_first_of_the_next_seed(fit: Callable[..., pl.Trainer]) -> None:
    two, one = module(replicates=2), module(seed=1)
    fit(two, images(replicates=2), max_epochs=2)
    fit(one, images(seed=1), max_epochs=2)
    assert isinstance(two.student, ExternalStudent)
    assert isinstance(one.student, ExternalStudent)
    for name, tensor in one.student.copies[0].state_dict().items():
        torch.testing.assert_close(two.student.copies[1].state_dict()[name], tensor, rtol=0, atol=0)
        assert not torch.equal(two.student.copies[0].state_dict()[name], tensor) or name.endswith("num_batches_tracked")


def test_steps_are_those_of_a_loop_in_plain_torch(fit: Callable[..., pl.Trainer]) -> None:
    ours, data = module(), images()
    fit(ours, data)
    torch.manual_seed(replicate_generators("student", 0, 1)[0].initial_seed())
    torch.set_default_dtype(torch.float64)  # as in a float64 run
    plain = Small()
    torch.set_default_dtype(torch.float32)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    plain.train()
    step = 0
    for chunk in data.train_dataloader():
        for inputs in chunk.inputs:
            torch.manual_seed(replicate_generators("dropout", 0, 1, step)[0].initial_seed())
            loss = (plain(inputs[0].clone()) - ours.teacher(inputs)[0]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    assert step == 3
    assert isinstance(ours.student, ExternalStudent)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(ours.student.copies[0].state_dict()[name], tensor)


def test_it_leaves_inputs_and_torchs_generator_alone() -> None:
    made = student(2)
    made.seed_dropout(replicate_generators("dropout", 0, 2))
    inputs, state = torch.randn(2, 4, *SHAPE), torch.get_rng_state()
    kept = inputs.clone()
    outputs = made(inputs)
    assert torch.equal(inputs, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(made.eval()(inputs), outputs)
    activations = made.activations(inputs)
    assert [tuple(post.shape) for post in activations.post] == [(2, 4, 3, 6, 6), (2, 4, 4, 4, 4)]
    torch.testing.assert_close(activations.output, made(inputs))
    torch.testing.assert_close(activations.post[1][1], made.copies[1].features(0.5 * inputs[1]))


def test_all_copies_start_from_a_file(tmp_path: Any) -> None:
    saved = Small()
    torch.save(saved.state_dict(), tmp_path / "w.pt")
    made = student(2, weights=str(tmp_path / "w.pt"))
    made.draw(replicate_generators("student", 0, 2))
    for copy in made.copies:
        assert torch.equal(copy.get_parameter("top.weight"), saved.top.weight)


def test_a_model_by_name_has_the_outputs_asked_for() -> None:
    made = ExternalStudent(
        1, input_shape=[3, 32, 32], layers=["layer4.1.relu"], torchvision_model="resnet18", outputs=7
    )
    assert (made.widths, made.map_sizes, made.output_dim) == ([512], [(1, 1)], 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"student_initialization": GaussianInitialization()}, "GaussianInitialization for a ExternalStudent: set it"),
        ({"student": teacher}, "student_initialization is NoneType for a ConvNet: give one"),
        ({"trained_layers": [1]}, "trained_layers is for tsl's own networks, but the student is a ExternalStudent"),
        (
            {"student": partial(student, layers=["features.2"])},
            "2 hidden layers to compare, but model.init_args.student has 1",
        ),
        ({"student": partial(student, layers=["top", "up"])}, r"student.init_args.layers = .* no such layers as \['up"),
        ({"student": partial(student, module=Small())}, "module is one Small, but each replicate needs its own"),
        ({"student": partial(student, torchvision_model="resnet18")}, "expected either module or torchvision_model"),
        ({"student": partial(student, input_shape=[3, 8, 8])}, r"student.init_args.input_shape = \[3, 8, 8\] does not"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        module(**settings).make_networks()


def test_what_is_refused_when_training_starts(fit: Callable[..., pl.Trainer]) -> None:
    with pytest.raises(InputError, match="lr lists learning rates, but a ExternalStudent takes one"):
        fit(module(optimizer=partial(SGD, lr=[0.1, 0.2, 0.3]), replicates=3), images(replicates=3))
    with pytest.raises(InputError, match="normalize_weights is for tsl's own networks"):
        fit(module(normalize_weights=True), images())
    with pytest.raises(InputError, match=r"batch_size = 1: BatchNorm needs a variance"):
        fit(module(), images(batch_size=1))
