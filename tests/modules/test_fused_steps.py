"""Compiled steps against autograd's: the same module, data and Trainer, with `steps` eager and fused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from tests.conftest import DIM, OUTPUTS, make_data, make_module
from tsl.data import TeacherAgnostic
from tsl.errors import DivergenceError, InputError
from tsl.modules import KL, cross_entropy, half_squared_error, mse
from tsl.networks import MLP, GaussianInitialization, LikeTeacher

Fit = Callable[..., pl.Trainer]


def weights(module: Any) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.student.parameters()]


def trained(
    fit: Fit, steps: str, data: dict[str, Any] | None = None, trainer: Any = None, **model: Any
) -> list[Tensor]:
    module = make_module(steps=steps, **model)
    replicates = {name: model[name] for name in ("replicates", "seed") if name in model}
    fit(module, make_data(**({"steps_per_epoch": 50, "chunk_size": 20} | (data or {}) | replicates)), **(trainer or {}))
    assert (module.fused_steps is not None) == (steps != "eager")
    return [*weights(module), module.train_loss.compute().reshape(-1)]


def assert_equal(ours: list[Tensor], its: list[Tensor], tolerance: float) -> None:
    """Within a tolerance relative to a tensor's largest entry."""
    for one, other in zip(ours, its, strict=True):
        assert (one - other).abs().max() <= tolerance * other.abs().max()


momenta = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"momentum": st.sampled_from([0.5, 0.9]), "nesterov": st.just(True)}),
    st.fixed_dictionaries({"momentum": st.just(0.9), "dampening": st.sampled_from([0.0, 0.3])}),
)
activations = st.one_of(
    st.fixed_dictionaries({"negative_slope": st.sampled_from([0.0, 0.1])}),
    st.fixed_dictionaries({"activation": st.sampled_from(["erf", "tanh", "sigmoid", "linear"])}),
)
networks = st.builds(
    lambda widths, bias, activation: {"widths": widths, "bias": bias} | activation,
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.booleans(),
    activations,
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    network=networks,
    momentum=momenta,
    weight_decay=st.sampled_from([0.0, 0.05]),
    loss=st.sampled_from([half_squared_error, mse, cross_entropy, KL(2.0)]),
    replicates=st.integers(1, 3),
    first_frozen=st.booleans(),
    normalize=st.booleans(),
    precision=st.sampled_from(["64-true", "32-true"]),
)
def test_as_eager_after_200_steps(
    fit: Fit, network: Any, momentum: Any, weight_decay: float, loss: Any, replicates: int, first_frozen: bool,
    normalize: bool, precision: str,
) -> None:  # fmt: skip
    model = {
        "teacher": partial(MLP, input_dim=DIM, output_dim=OUTPUTS, **network),
        "teacher_initialization": GaussianInitialization(0.5),
        "optimizer": partial(SGD, lr=0.01, weight_decay=weight_decay, **momentum),
        "lr_scheduler": partial(StepLR, step_size=2, gamma=0.5),
        "loss": loss,
        "trained_layers": [2] if first_frozen else None,
        "normalize_weights": normalize,
        "replicates": replicates,
    }
    kept = {"precision": precision, "max_epochs": 4}
    fused, eager = (trained(fit, steps, trainer=kept, **model) for steps in ("fused", "eager"))
    assert_equal(fused, eager, 1e-10 if precision == "64-true" else 1e-4)


def test_quadratic_nodes_as_eager(fit: Fit) -> None:
    """At a small rate: x² grows roundings, and diverges soon at others."""
    model = {
        "teacher": partial(MLP, input_dim=DIM, output_dim=OUTPUTS, widths=[4], activation="quadratic"),
        "teacher_initialization": GaussianInitialization(0.2),
        "optimizer": partial(SGD, lr=0.001),
        "replicates": 2,
    }
    fused, eager = (trained(fit, steps, trainer={"max_epochs": 4}, **model) for steps in ("fused", "eager"))
    assert_equal(fused, eager, 1e-10)


@pytest.mark.parametrize(
    "data",
    [
        {"train_size": [60, 50]},
        {"augmentation": TeacherAgnostic(0.1)},
        {"fresh_inputs": True},
        {"replacement": False, "steps_per_epoch": 12},
    ],
)
def test_as_eager_whatever_the_data(fit: Fit, data: dict[str, Any]) -> None:
    fused, eager = (trained(fit, steps, data, {"max_epochs": 2}, replicates=2) for steps in ("fused", "eager"))
    assert_equal(fused, eager, 1e-10)


def test_answers_that_would_not_fit_are_computed_by_the_chunk(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = trained(fit, "fused", replicates=2)
    monkeypatch.setattr("tsl.modules.teacher_student.KEPT_ANSWERS", 0)
    assert_equal(kept, trained(fit, "fused", replicates=2), 1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_replicate_alone_and_any_number_of_threads_give_the_same_bits(fit: Fit, momentum: float) -> None:
    optimizer = partial(SGD, lr=0.01, momentum=momentum)
    many = trained(fit, "fused", replicates=3, optimizer=optimizer)
    for r in range(3):
        alone = trained(fit, "fused", replicates=1, seed=r, optimizer=optimizer)
        assert all(torch.equal(one[0], all_of_them[r]) for one, all_of_them in zip(alone, many, strict=True))
    torch.set_num_threads(2)
    again = trained(fit, "fused", replicates=3, optimizer=optimizer)
    assert all(torch.equal(one, other) for one, other in zip(again, many, strict=True))


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")  # the state after a chunk is meant
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")  # resumed without checkpoints
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("first", "second"), [("eager", "fused"), ("fused", "eager"), ("fused", "fused")])
def test_a_checkpoint_of_one_goes_on_in_the_other(
    fit: Fit, tmp_path: Path, momentum: float, first: str, second: str
) -> None:
    """Within an epoch: after the third of four chunks of the second epoch."""
    model: dict[str, Any] = {"replicates": 2, "optimizer": partial(SGD, lr=0.01, momentum=momentum)}
    data = {"replicates": 2, "steps_per_epoch": 8, "chunk_size": 2}
    every = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    whole, resumed = make_module(steps=first, **model), make_module(steps=second, **model)
    fit(whole, make_data(**data), max_epochs=3, callbacks=[every], enable_checkpointing=True)
    trainer = fit(resumed, make_data(**data), max_epochs=3, ckpt_path=tmp_path / "epoch=1-step=14.ckpt")
    assert trainer.global_step == 24
    if first == second:
        assert all(torch.equal(*pair) for pair in zip(weights(resumed), weights(whole), strict=True))
    assert_equal(weights(resumed), weights(whole), 1e-12)


def test_the_last_minibatchs_gradient_is_left(fit: Fit) -> None:
    gradients = {}
    for steps in ("fused", "eager"):
        module = make_module(steps=steps, replicates=2, optimizer=partial(SGD, lr=0.01, weight_decay=0.1))
        fit(module, make_data(replicates=2, steps_per_epoch=7, chunk_size=3), limit_val_batches=0)
        gradients[steps] = [parameter.grad for parameter in module.student.parameters()]
    assert_equal(gradients["fused"], gradients["eager"], 1e-12)


def test_a_replicate_that_diverges_is_named(fit: Fit) -> None:
    start = GaussianInitialization([0.1, 1e200])
    with pytest.raises(DivergenceError, match=r"not finite in epoch 1, replicates 1: lower the learning rate"):
        trained(fit, "fused", replicates=2, student_initialization=start)


def anything(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).abs().mean(dim=(-2, -1))


class Watcher(pl.Callback):
    def on_before_optimizer_step(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("model", "trainer", "reason"),
    [
        ({"optimizer": partial(Adam, lr=0.01)}, {}, "the optimizer is Adam, and only SGD is compiled"),
        ({"optimizer": partial(SGD, lr=0.01, maximize=True)}, {}, "the optimizer maximizes"),
        ({"loss": anything}, {}, "the loss anything is not one of tsl.modules"),
        ({"student": LikeTeacher(batch_norm="before")}, {}, "the student has batch_norm: before"),
        ({"student": LikeTeacher(dropout=0.5)}, {}, "the student has dropout 0.5"),
        ({}, {"precision": "bf16-mixed"}, "trainer.precision is bf16-mixed"),
        ({}, {"callbacks": [Watcher()]}, "Watcher watches single steps"),
    ],
)
def test_what_cannot_be_fused_is_eager_or_refused(
    fit: Fit, capsys: pytest.CaptureFixture[str], model: dict[str, Any], trainer: dict[str, Any], reason: str
) -> None:
    module = make_module(steps="auto", **model)
    fit(module, make_data(steps_per_epoch=2), **trainer)
    assert module.fused_steps is None
    assert [line for line in capsys.readouterr().out.splitlines() if f"steps: eager, because {reason}" in line]
    with pytest.raises(InputError, match=f"model.init_args.steps = fused, but {reason}.*: set steps to auto or eager"):
        fit(make_module(steps="fused", **model), make_data(steps_per_epoch=2), **trainer)


def test_auto_says_once_that_it_fuses(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    trained(fit, "auto", trainer={"max_epochs": 2})
    assert capsys.readouterr().out.count("steps: fused") == 1
