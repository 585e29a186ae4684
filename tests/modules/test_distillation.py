"""Objectives of several terms: each is its definition, spelled out, and logged by itself."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import make_data, make_module
from tests.image_students import SHAPE, image_module
from tests.labelled import TinyImages
from tests.networks.test_external_student import LAYERS, Small
from tsl.errors import InputError
from tsl.modules import KL, AttentionTransfer, Distillation, Hint, mse
from tsl.networks import ExternalStudent, LikeTeacher
from tsl.randomness import replicate_generators

R, B, M, N = 2, 5, 3, 4


def maps(nodes: int, seed: int) -> torch.Tensor:
    return torch.randn(R, B, nodes, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_hint_is_the_error_of_a_linear_map_of_its_own() -> None:
    term = Hint("1", "1").double()
    term.make(M, N, replicate_generators("projection", 0, R))
    term.double()
    t, s = maps(M, 0), maps(N, 1)
    W, c = (tensor.detach().numpy() for tensor in (term.projection.weight, term.projection.bias))
    for r in range(R):
        errors = [
            float(t[r, b, j, y, x]) - W[r, j] @ s[r, b, :, y, x].numpy() - c[r, j]
            for b in range(B)
            for j in range(M)
            for y in range(2)
            for x in range(3)
        ]
        assert term(t, s)[r].item() == pytest.approx(np.mean(np.square(errors)))
    nodes = term(t[..., 0, 0], s[..., 0, 0])
    expected = (t[1, :, :, 0, 0] - s[1, :, :, 0, 0] @ torch.from_numpy(W[1].T) - torch.from_numpy(c[1])).square().mean()
    assert nodes[1].item() == pytest.approx(expected.item())
    alone = Hint("1", "1")
    alone.make(M, N, replicate_generators("projection", 1, 1))
    torch.testing.assert_close(alone.projection.weight[0], term.projection.weight[1].float())


def test_attention_transfer_compares_where_a_layer_is_strong() -> None:
    t, s = maps(M, 0), maps(N, 1)
    values = AttentionTransfer("1", "1")(t, s)
    for r in range(R):
        total = 0.0
        for b in range(B):
            strong = [(side[r, b].numpy() ** 2).sum(axis=0).ravel() for side in (t, s)]
            of_teacher, of_student = (each / np.linalg.norm(each) for each in strong)
            total += np.square(of_teacher - of_student).sum()
        assert values[r].item() == pytest.approx(total / (B * 6))
    assert AttentionTransfer("1", "1")(t, 3 * t).abs().max() < 1e-15
    with pytest.raises(InputError, match=r"AttentionTransfer compares maps, but 1 has none: use tsl\.modules\.Hint"):
        AttentionTransfer("1", "1")(t[..., 0, 0], s[..., 0, 0])


def four_terms() -> Distillation:
    layers = {"hint": Hint("2", "2", 0.5), "attention": AttentionTransfer("1", "1", 3.0)}
    return Distillation(labels=0.3, teacher=0.7, teacher_loss=KL(2.0), layers=layers)


def test_a_step_follows_the_gradient_of_the_weighted_sum(fit: Callable[..., pl.Trainer]) -> None:
    module = image_module(loss=four_terms(), optimizer=partial(torch.optim.SGD, lr=0.1), replicates=R)
    start = image_module(loss=four_terms(), replicates=R)
    data = TinyImages(SHAPE, train_size=16, replicates=R)
    fit(module, data)
    start.double()
    torch.set_default_dtype(torch.float64)
    try:
        start.make_networks(data)
    finally:
        torch.set_default_dtype(torch.float32)
    [chunk] = data.train_dataloader()
    inputs, labels = chunk.inputs[0], chunk.labels[0]
    start.student.train()
    t, s = start.teacher.activations(inputs), start.student.activations(inputs)
    p, q = (torch.softmax(logits / 2, dim=-1) for logits in (t.output, s.output))
    hint = start.loss.layers["hint"].projection
    loss = torch.zeros(())
    for r in range(R):
        picked = torch.log_softmax(s.output[r], dim=-1)[torch.arange(16), labels[r]]
        loss = loss - 0.3 * picked.mean() + 0.7 * 4 * (p[r] * (p[r] / q[r]).log()).sum(dim=-1).mean()
        predicted = torch.einsum("mn,bnhw->bmhw", hint.weight[r], s.post[1][r]) + hint.bias[r][:, None, None]
        loss = loss + 0.5 * (t.post[1][r] - predicted).square().mean()
        strong = [side.post[0][r].square().sum(dim=1).flatten(1) for side in (t, s)]
        unit = [each / each.norm(dim=1, keepdim=True) for each in strong]
        loss = loss + 3 * (unit[0] - unit[1]).square().mean()
    loss.backward()
    for before, after in (
        *zip(start.student.parameters(), module.student.parameters(), strict=True),
        *zip(start.loss.layers.parameters(), module.loss.layers.parameters(), strict=True),
    ):
        torch.testing.assert_close(after.detach(), before.detach() - 0.1 * before.grad)
    means = {name: values.mean().item() for name, values in module.loss.mean_terms().items()}
    weights = {"train/labels": 0.3, "train/teacher": 0.7, "train/hint": 0.5, "train/attention": 3}
    assert sum(weights[name] * value for name, value in means.items()) * R == pytest.approx(loss.item())


def test_every_term_and_the_learning_rate_are_logged(fit: Callable[..., pl.Trainer], tmp_path: Path) -> None:
    optimizer = partial(torch.optim.SGD, lr=0.1)
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    module = image_module(loss=four_terms(), optimizer=optimizer, lr_scheduler=schedule)
    logger = CSVLogger(tmp_path, name="", version="run")
    fit(module, TinyImages(SHAPE), max_epochs=3, logger=logger, num_sanity_val_steps=-1)
    rows = pd.read_csv(tmp_path / "run/metrics.csv").groupby("epoch").max()
    assert rows["train/learning_rate"].dropna().tolist() == pytest.approx([0.1, 0.05, 0.025])
    terms = [0.3, 0.7, 0.5, 3] * rows[["train/labels", "train/teacher", "train/hint", "train/attention"]]
    assert terms.sum(axis=1, skipna=False)[1:].tolist() == pytest.approx(rows["train/loss"][1:].tolist())
    assert (rows["val/loss"].diff()[1:] < 0).all()


def test_one_term_of_outputs_is_the_plain_loss(fit: Callable[..., pl.Trainer]) -> None:
    plain, composed = image_module(), image_module(loss=Distillation(labels=0, teacher=1, teacher_loss=mse))
    for module in (plain, composed):
        fit(module, TinyImages(SHAPE), max_epochs=2)
    for one, other in zip(plain.student.parameters(), composed.student.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(plain.val_loss.compute(), composed.val_loss.compute())


def test_data_without_labels_and_layers_of_vectors(fit: Callable[..., pl.Trainer]) -> None:
    layers = {"hint": Hint("1", "1")}
    module = make_module(loss=Distillation(labels=0, teacher=1, teacher_loss=mse, layers=layers), replicates=2)
    fit(module, make_data(replicates=2), max_epochs=2)
    assert {*module.loss.mean_terms()} == {"train/teacher", "train/hint"}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (partial(Distillation, layers={"h": Hint("3", "1")}), r"layers.h.init_args.teacher = 3: expected a watched"),
        (partial(Distillation, layers={"h": Hint("1", "x")}), r"layers.h.init_args.student = x: .* one of 1, 2"),
        (partial(Distillation, layers={"labels": Hint("1", "1")}), "names a term 'labels': choose another name"),
        (partial(Distillation, layers={"a.b": Hint("1", "1")}), r"names a term 'a\.b'"),
    ],
)
def test_what_is_refused(loss: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        image_module(loss=loss(), student=LikeTeacher()).make_networks()


def test_labels_that_are_not_there(fit: Callable[..., pl.Trainer]) -> None:
    with pytest.raises(InputError, match=r"loss.init_args.labels = 0.1, but the data has no labels: set it to 0"):
        fit(make_module(loss=Distillation()), make_data())


def test_a_run_that_goes_on_ends_as_one_that_was_never_cut(fit: Callable[..., pl.Trainer], tmp_path: Path) -> None:
    def module() -> Any:
        student = partial(ExternalStudent, input_shape=SHAPE, layers=LAYERS, module=Small)
        optimizer = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
        loss = Distillation(layers={"hint": Hint("2", LAYERS[1]), "attention": AttentionTransfer("1", LAYERS[0])})
        settings = {"student": student, "student_initialization": None, "loss": loss, "optimizer": optimizer}
        return image_module(**settings, replicates=2)

    whole, cut, resumed = module(), module(), module()
    data = TinyImages(SHAPE, train_size=32, replicates=2)
    fit(whole, data, max_epochs=3)
    fit(cut, data, max_epochs=2).save_checkpoint(tmp_path / "cut.ckpt")
    fit(resumed, data, max_epochs=3, ckpt_path=tmp_path / "cut.ckpt")
    assert any(name.startswith("loss.layers.hint.projection") for name in whole.state_dict())
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)
