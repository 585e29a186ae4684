import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from tests.conftest import OUTPUTS, make_data, make_module
from tsl.data import Gaussian
from tsl.errors import InputError
from tsl.modules import TeacherStudent, mse
from tsl.networks import MLP, LikeTeacher, SeparableInitialization
from tsl.randomness import generator


def weights(module: TeacherStudent) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.student.parameters()]


def configured(**settings: Any) -> TeacherStudent:
    module = make_module(**settings)
    torch.set_default_dtype(torch.float64)
    module.make_networks()
    torch.set_default_dtype(torch.float32)
    return module


def two_layer_gradients(module: TeacherStudent, inputs: torch.Tensor, r: int) -> list[np.ndarray]:
    """The gradient of J(W) = ½ mean ‖f° − f‖² in closed form, in numpy."""
    W1, b1, W2, b2 = (p[r].detach().numpy() for p in module.student.parameters())
    x = inputs.numpy()
    pre = x @ W1.T + b1
    hidden = np.maximum(pre, 0)
    error = (hidden @ W2.T + b2 - module.teacher(inputs.expand(module.replicates, -1, -1))[r].numpy()) / len(x)
    lower = (error @ W2) * (pre > 0)
    return [lower.T @ x, lower.sum(0), error.T @ hidden, error.sum(0)]


def test_gradients_equal_the_closed_form() -> None:
    module = configured(replicates=2)
    inputs = torch.randn(7, 6, dtype=torch.float64)
    batch = inputs.expand(2, -1, -1)
    module.loss(module.student(batch), module.teacher(batch)).sum().backward()
    for r in range(2):
        for parameter, expected in zip(
            module.student.parameters(), two_layer_gradients(module, inputs, r), strict=True
        ):
            np.testing.assert_allclose(parameter.grad[r], expected, rtol=0, atol=1e-10)


def test_one_step_of_sgd_equals_the_closed_form(fit: Any) -> None:
    module, reference = make_module(replicates=2), configured(replicates=2)
    data = make_data(replicates=2, steps_per_epoch=1)
    seen: list[torch.Tensor] = []
    training_step = module.training_step
    module.training_step = lambda batch, batch_idx: (seen.append(batch.inputs), training_step(batch, batch_idx))[1]
    fit(module, data)
    for r in range(2):
        gradients = two_layer_gradients(reference, seen[0][0, r], r)
        for after, before, gradient in zip(weights(module), weights(reference), gradients, strict=True):
            np.testing.assert_allclose(after[r], before[r].numpy() - 0.01 * gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(SGD, lr=0.01),
        partial(SGD, lr=0.01, momentum=0.9, weight_decay=0.01),
        partial(Adam, lr=0.003),
        partial(AdamW, lr=0.003, weight_decay=0.1),
    ],
    ids=["SGD", "momentum", "Adam", "AdamW"],
)
def test_replicate_r_among_many_trains_as_the_replicate_alone(fit: Any, optimizer: Any) -> None:
    def trained(replicates: int, seed: int) -> list[torch.Tensor]:
        module = make_module(replicates=replicates, seed=seed, optimizer=optimizer)
        fit(module, make_data(replicates=replicates, seed=seed, steps_per_epoch=50))
        return weights(module)

    many = trained(4, seed=3)
    for r in range(4):
        for a, b in zip(many, trained(1, seed=3 + r), strict=True):
            torch.testing.assert_close(a[r], b[0], rtol=0, atol=1e-9)


def test_global_step_counts_optimizer_steps_whatever_the_chunk(fit: Any) -> None:
    outcomes = []
    for chunk_size in (1, 7, 50):
        module = make_module()
        trainer = fit(module, make_data(steps_per_epoch=20, chunk_size=chunk_size), max_epochs=2)
        assert trainer.global_step == 40
        outcomes.append(weights(module))
    for other in outcomes[1:]:
        for a, b in zip(outcomes[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("max_steps", "expected"), [(27, 40), (40, 40), (100, 60)])
def test_max_steps_ends_a_run_after_a_whole_epoch(
    fit: Any, max_steps: int, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = fit(make_module(), make_data(steps_per_epoch=20), max_epochs=3, max_steps=max_steps)
    assert trainer.global_step == expected
    said = "trainer.max_steps = 27 is within epoch 2: the run ends after that epoch, at step 40"
    assert (said in capsys.readouterr().out) == (max_steps == 27)


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")
@pytest.mark.parametrize(("every", "chunk_size"), [(8, 4), (6, 4), (6, 2), (20, 7), (10, 7), (40, 7), (3, 1), (1, 20)])
def test_checkpoints_within_a_chunk_are_announced_as_missing(
    fit: Any, every: int, chunk_size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = ModelCheckpoint(tmp_path, every_n_train_steps=every, save_top_k=-1)
    data = make_data(steps_per_epoch=20, chunk_size=chunk_size)
    fit(make_module(), data, max_epochs=6, enable_checkpointing=True, callbacks=[checkpoint])
    written = len([*tmp_path.glob("*.ckpt")])
    said = capsys.readouterr().out
    assert (f"checkpoint.every_n_train_steps = {every}" in said) == (written < 120 // every)


def test_the_teacher_stays_as_it_is(fit: Any) -> None:
    module, untrained = make_module(replicates=2), configured(replicates=2)
    fit(module, make_data(replicates=2))
    assert not module.teacher.training
    assert not any(p.requires_grad for p in module.teacher.parameters())
    for a, b in zip(module.teacher.parameters(), untrained.teacher.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not any(torch.equal(a, b) for a, b in zip(weights(module), weights(untrained), strict=True))


@pytest.mark.parametrize(("layers", "moved"), [([1], [True, False]), ([2], [False, True]), (None, [True, True])])
def test_only_the_chosen_layers_are_trained(fit: Any, layers: list[int] | None, moved: list[bool]) -> None:
    module, untrained = make_module(trained_layers=layers), configured()
    fit(module, make_data())
    changed = [not torch.equal(a, b) for a, b in zip(weights(module)[::2], weights(untrained)[::2], strict=True)]
    assert changed == moved


@pytest.mark.parametrize("layers", [[], [3]])
def test_layers_that_are_not_there(layers: list[int]) -> None:
    with pytest.raises(InputError, match=r"trained_layers = .* expected at least one layer from 1 to 2"):
        configured(trained_layers=layers)


def test_learning_rate_schedules_count_epochs(fit: Any) -> None:
    module = make_module(lr_scheduler=partial(StepLR, step_size=2, gamma=0.1))
    trainer = fit(module, make_data(), max_epochs=4)
    np.testing.assert_allclose(trainer.optimizers[0].param_groups[0]["lr"], 0.01 * 0.1**2)


def test_a_schedule_that_watches_the_validation_loss(fit: Any) -> None:
    module = make_module(
        optimizer=partial(SGD, lr=1e-3), lr_scheduler=partial(ReduceLROnPlateau, patience=0, threshold=0.99)
    )
    trainer = fit(module, make_data(), max_epochs=3)
    np.testing.assert_allclose(trainer.optimizers[0].param_groups[0]["lr"], 1e-5)


def test_training_loss_is_the_mean_over_the_epochs_steps(fit: Any) -> None:
    module = make_module(replicates=2, loss=mse, optimizer=partial(SGD, lr=0.0))
    seen: list[torch.Tensor] = []
    training_step = module.training_step
    module.training_step = lambda batch, batch_idx: (seen.append(batch.inputs), training_step(batch, batch_idx))[1]
    trainer = fit(module, make_data(replicates=2, steps_per_epoch=4, chunk_size=3))
    reference = configured(replicates=2)
    chunks = torch.cat(seen)
    expected = [((reference.teacher(x) - reference.student(x)) ** 2).mean(dim=(1, 2)) for x in chunks]
    mean = torch.stack(expected).mean(dim=0)
    torch.testing.assert_close(module.train_loss.compute(), mean.detach())
    torch.testing.assert_close(trainer.callback_metrics["train/loss"].double(), mean.mean().detach())
    torch.testing.assert_close(trainer.callback_metrics["train/loss_std"].double(), mean.std().detach())


def test_a_loss_that_is_not_finite_stops_training_and_names_the_replicates(fit: Any) -> None:
    module = make_module(replicates=3, optimizer=partial(SGD, lr=1e200))
    with pytest.raises(InputError, match=r"not finite in epoch 1, all 3 replicates: lower the learning rate"):
        fit(module, make_data(replicates=3, steps_per_epoch=20))


def arc_cosine_kernel(v: np.ndarray, w: np.ndarray, std: float) -> np.ndarray:
    """E relu(v·x) relu(w·x) for x ~ N(0, std² I) (Cho & Saul 2009, degree 1), for all rows of v and w."""
    norm_v, norm_w = np.linalg.norm(v, axis=1), np.linalg.norm(w, axis=1)
    cosine = np.clip(v @ w.T / np.outer(norm_v, norm_w), -1, 1)
    angle = np.arccos(cosine)
    return std**2 * np.outer(norm_v, norm_w) * (np.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi)


def test_val_loss_agrees_with_the_expected_loss_in_closed_form(fit: Any) -> None:
    """Two bias-free ReLU networks under Gaussian inputs: E‖f° − f‖² is a quadratic form of arc-cosine kernels."""
    module = make_module(
        teacher=partial(MLP, input_dim=6, widths=[4], output_dim=OUTPUTS, bias=False),
        teacher_initialization=SeparableInitialization(polarity=1.0),
        replicates=3,
    )
    batch = 200
    data = make_data(replicates=3, val_size=40_000, eval_batch_size=batch, steps_per_epoch=5)
    errors: list[torch.Tensor] = []
    validation_step = module.validation_step

    def watched_step(inputs: torch.Tensor, batch_idx: int) -> Any:
        observed = validation_step(inputs, batch_idx)
        errors.append(0.5 * (observed.teacher.output - observed.student.output).square().sum(dim=2))
        return observed

    class WantsActivations(pl.Callback):
        def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.activations_wanted = True

    module.validation_step = watched_step
    fit(module, data, callbacks=[WantsActivations()])
    standard_error = torch.cat(errors, dim=1).std(dim=1) / math.sqrt(40_000)
    for r in range(3):
        nodes = np.concatenate(
            [network.layers[0].weight[r].detach().numpy() for network in (module.teacher, module.student)]
        )
        fan_out = np.concatenate(
            [
                sign * net.layers[1].weight[r].detach().numpy().T
                for sign, net in ((1, module.teacher), (-1, module.student))
            ]
        )
        expected = 0.5 * np.sum(arc_cosine_kernel(nodes, nodes, std=1.5) * (fan_out @ fan_out.T))
        assert abs(module.val_loss.compute()[r] - expected) < 4 * standard_error[r]
        assert standard_error[r] < 0.02 * expected  # so that the comparison says something


def test_the_closed_form_itself_against_sampling() -> None:
    v, w = torch.randn(2, 3, 6, dtype=torch.float64)
    x = 1.5 * torch.randn(200_000, 6, dtype=torch.float64, generator=generator("val_inputs", 0))
    products = torch.einsum("nj,nk->njk", (x @ v.T).relu(), (x @ w.T).relu())
    error = products.std(dim=0) / math.sqrt(len(x))
    difference = products.mean(dim=0).numpy() - arc_cosine_kernel(v.numpy(), w.numpy(), 1.5)
    assert (np.abs(difference) < 5 * error.numpy()).all()


@pytest.mark.parametrize(
    ("replicates", "multiplier", "asked", "expected"),
    [(2, 2, None, 500), (40, 20, None, 327), (40, 80, None, 100), (40, 80, 7, 7)],
)
def test_evaluation_batches_shrink_as_networks_grow_until_a_size_is_asked_for(
    replicates: int, multiplier: int, asked: int | None, expected: int, fit: Any
) -> None:
    data = make_data(replicates=replicates, val_size=1, eval_batch_size=asked, steps_per_epoch=1)
    trainer = fit(make_module(replicates=replicates, student=LikeTeacher(multiplier), steps="eager"), data)
    assert trainer.val_dataloaders[0].batch_size == expected


@pytest.mark.parametrize(("at_once", "expected"), [(1 << 24, 10_000), (8 * 250, 250), (1, 100)])
def test_compiled_evaluations_take_as_many_inputs_as_the_teachers_answer_at_once(
    at_once: int, expected: int, fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two teachers of four nodes give eight numbers for an input, whatever the students' widths."""
    monkeypatch.setattr("tsl.modules.teacher_student.ANSWERED_AT_ONCE", at_once)
    trainer = fit(make_module(replicates=2, student=LikeTeacher(50)), make_data(replicates=2, steps_per_epoch=1))
    assert trainer.val_dataloaders[0].batch_size == expected


def test_evaluation_losses_equal_their_definition_over_uneven_batches(fit: Any) -> None:
    module = make_module(replicates=2)
    data = make_data(replicates=2, val_size=50, eval_batch_size=7)
    fit(module, data)
    torch.set_default_dtype(torch.float64)
    inputs = torch.stack([Gaussian(1.5).sample(50, 6, generator("val_inputs", r)) for r in range(2)])
    torch.set_default_dtype(torch.float32)
    W1, b1, W2, b2 = module.student.parameters()
    for r in range(2):
        pre = inputs[r] @ W1[r].T + b1[r]
        error = module.teacher(inputs)[r] - (pre.relu() @ W2[r].T + b2[r])
        g1 = (pre > 0) * (error @ W2[r])
        torch.testing.assert_close(module.val_loss.compute()[r], 0.5 * error.square().sum(dim=1).mean())
        torch.testing.assert_close(module.val_mse.compute()[r], error.square().mean())
        torch.testing.assert_close(module.gradient_sup_norm.compute()[r], g1.abs().max())
