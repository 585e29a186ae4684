"""What the teacher answered is kept while, and only while, teacher and inputs stay the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.data import EvaluationLoader, Samples
from tsl.modules import teacher_answers
from tsl.modules.teacher_answers import TeacherAnswers
from tsl.networks import Network
from tsl.runs.records import read_table

TABLES = ("losses", "layers", "teacher_nodes", "student_nodes")


def run(fit: Callable[..., Any], path: Path, data: dict[str, Any], epochs: list[int], **module: Any) -> pl.Trainer:
    settings = {"replicates": 2, "eval_batch_size": 7, "steps_per_epoch": 5} | data
    callbacks = [SpecializationRecords(epochs=epochs)]
    made = make_module(replicates=2, **module)
    logger = CSVLogger(path.parent, path.name, "v")
    return fit(made, make_data(**settings), callbacks=callbacks, logger=logger, max_epochs=4, num_sanity_val_steps=-1)


@pytest.mark.parametrize(
    ("data", "module"),
    [
        ({}, {}),
        ({"evaluate_train": True, "fresh_inputs": True}, {}),
        ({"evaluate_train": True}, {"condition_teacher": True, "widths": [4, 3]}),
    ],
    ids=["fixed", "fresh inputs", "conditioned"],
)
def test_records_are_the_same_whether_answers_are_kept(
    fit: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: dict[str, Any],
    module: dict[str, Any],
) -> None:
    epochs = [0, 2, 3]
    run(fit, tmp_path / "kept", data, epochs, **module)
    monkeypatch.setattr(teacher_answers, "KEPT", 0)
    run(fit, tmp_path / "anew", data, epochs, **module)
    for table in TABLES:
        kept, anew = (read_table(tmp_path / name / "v", table) for name in ("kept", "anew"))
        pd.testing.assert_frame_equal(kept, anew, rtol=0, atol=0)


def test_losses_do_not_depend_on_whether_nodes_are_measured(fit: Callable[..., Any], tmp_path: Path) -> None:
    run(fit, tmp_path / "nodes", {"evaluate_train": True}, [0, 1, 2, 3, 4], widths=[4, 3])
    run(fit, tmp_path / "losses", {"evaluate_train": True}, [], widths=[4, 3])
    nodes, losses = (read_table(tmp_path / name / "v", "losses") for name in ("nodes", "losses"))
    assert len(losses) == 2 * 5
    pd.testing.assert_frame_equal(nodes, losses, rtol=1e-12)


def test_the_teacher_answers_fixed_inputs_once(fit: Callable[..., Any], tmp_path: Path) -> None:
    module = make_module(replicates=2)
    answered: list[int] = []

    class Counts(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            activations = pl_module.teacher.activations
            in_training = lambda: pl_module.trainer.training  # noqa: E731
            pl_module.teacher.activations = lambda x: (in_training() or answered.append(x.shape[1]), activations(x))[1]

    data = make_data(replicates=2, val_size=14, eval_batch_size=7, steps_per_epoch=2)
    callbacks = [SpecializationRecords(epochs=[2]), Counts()]
    fit(module, data, callbacks=callbacks, logger=CSVLogger(tmp_path), max_epochs=4, num_sanity_val_steps=-1)
    assert answered == [7, 7, 7, 7]  # outputs before training, hidden layers as well at epoch 2, then no more


@pytest.fixture
def teacher() -> Network:
    module = make_module(replicates=2)
    module.make_networks()
    return module.teacher


def test_another_teacher_or_other_inputs_are_answered_anew(teacher: Network) -> None:
    samples = [Samples(torch.randn(2, 5, 6))]
    loader = EvaluationLoader("train", lambda: samples[0], 5)
    answers = TeacherAnswers()

    @torch.no_grad()
    def answer() -> torch.Tensor:
        answers.start(teacher, [loader])
        return answers.answer(teacher, samples[0].inputs, 0, 0, hidden=False).output

    first = answer()
    assert answer() is first
    with torch.no_grad():
        next(teacher.parameters()).mul_(2)
    changed = answer()
    assert not torch.equal(changed, first)
    teacher.load_state_dict(teacher.state_dict())  # a checkpoint is loaded like this
    assert answer() is not changed
    samples[0] = Samples(samples[0].inputs + 1)
    assert torch.equal(answer(), teacher(samples[0].inputs))
    samples[0] = Samples(samples[0].inputs, augment=lambda index, variant: samples[0].inputs)
    assert answer() is not answer()


@pytest.mark.parametrize("enough", [True, False])
def test_no_more_is_kept_than_the_bound(teacher: Network, monkeypatch: pytest.MonkeyPatch, enough: bool) -> None:
    inputs = torch.randn(2, 10, 6)
    bytes_of_outputs = inputs.shape[0] * 10 * teacher.output_dim * 4
    monkeypatch.setattr(teacher_answers, "KEPT", bytes_of_outputs - (not enough))
    samples = Samples(inputs)
    loader = EvaluationLoader("val", lambda: samples, 5)
    answers = TeacherAnswers()
    answers.start(teacher, [loader])
    for hidden in (True, False):
        outputs = [answers.answer(teacher, batch, 0, n, hidden=hidden) for n, batch in enumerate(loader)]
        assert all(bool(answer.post) == hidden for answer in outputs)
    again = [answers.answer(teacher, batch, 0, n, hidden=False) for n, batch in enumerate(loader)]
    assert [a.output is b.output for a, b in zip(outputs, again, strict=True)] == [enough] * 2
