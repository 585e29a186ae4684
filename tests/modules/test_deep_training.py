"""Deep students with everything on: BatchNorm, dropout, momentum, milestones, a conditioned teacher."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.optim import SGD

from tests.conftest import make_data, make_module
from tests.fitting import TINY, assert_same_records, weights
from tsl.fit import main
from tsl.modules import Milestones, TeacherStudent
from tsl.modules.load_run import load_run
from tsl.networks import DeepSeparableInitialization, DefaultInitialization, LikeTeacher
from tsl.runs.records import read_table

MODEL = "--model.init_args"
DEEP = [
    *(f"{MODEL}.teacher.init_args.widths", "[4, 5]", f"{MODEL}.condition_teacher", "true"),
    *(f"{MODEL}.teacher_initialization", "tsl.networks.DeepSeparableInitialization"),
    *(f"{MODEL}.student_initialization", "tsl.networks.DefaultInitialization"),
    *(f"{MODEL}.student.batch_norm", "before", f"{MODEL}.student.dropout", "0.2"),
    *(f"{MODEL}.optimizer", "{class_path: torch.optim.SGD, init_args: {lr: 1, momentum: 0.9}}"),
    *(f"{MODEL}.lr_scheduler", "{class_path: tsl.modules.Milestones, init_args: {milestones: {0: 0.05, 2: 0.01}}}"),
]


@pytest.fixture
def deep_fit(tmp_path: Path) -> Callable[..., Path]:
    """Run the deep configuration with further arguments; gives the directory of its experiment."""

    def run(*arguments: str) -> Path:
        main([*TINY, *DEEP, "--trainer.default_root_dir", str(tmp_path), *arguments])
        return tmp_path / "tiny"

    return run


def deep_module(**settings: Any) -> TeacherStudent:
    student = LikeTeacher(multiplier=2, **settings.pop("student", {}))
    return make_module(
        widths=[4, 5, 3],
        teacher_initialization=DeepSeparableInitialization(),
        student_initialization=DefaultInitialization(),
        student=student,
        **settings,
    )


@pytest.mark.parametrize("position", ["before", "after"])
def test_replicate_r_among_many_trains_as_the_replicate_alone(fit: Any, position: Any) -> None:
    def trained(replicates: int, seed: int) -> dict[str, torch.Tensor]:
        module = deep_module(
            replicates=replicates,
            seed=seed,
            condition_teacher=True,
            normalize_weights=True,
            student={"batch_norm": position, "dropout": 0.3, "negative_slope": 0.1},
            optimizer=partial(SGD, lr=1.0, momentum=0.9, weight_decay=0.01),
            lr_scheduler=partial(Milestones, milestones={0: 0.05, 1: 0.01}),
        )
        fit(module, make_data(replicates=replicates, seed=seed, steps_per_epoch=30), max_epochs=2)
        return {**module.student.state_dict(), "loss": module.val_loss.compute().reshape(-1)}

    many = trained(3, seed=3)
    for r in range(3):
        for name, tensor in trained(1, seed=3 + r).items():
            torch.testing.assert_close(many[name][r], tensor[0], rtol=0, atol=1e-9)


def test_dropout_does_not_depend_on_the_chunk(fit: Any) -> None:
    outcomes = []
    for chunk_size in (1, 7):
        module = deep_module(student={"dropout": 0.3})
        fit(module, make_data(steps_per_epoch=20, chunk_size=chunk_size))
        outcomes.append(module.student.layers[0].weight.detach())
    torch.testing.assert_close(*outcomes, rtol=0, atol=1e-12)


def test_the_student_differs_from_its_teacher_in_what_was_said_alone() -> None:
    module = deep_module(student={"batch_norm": "after", "batch_norm_affine": False, "dropout": 0.5})
    module.make_networks()
    student, teacher = module.student, module.teacher
    assert (student.batch_norm, student.batch_norm_affine, student.dropout) == ("after", False, 0.5)
    assert (teacher.batch_norm, teacher.dropout) == (None, 0.0)
    assert student.negative_slope == teacher.negative_slope == 0
    assert student.widths == [8, 10, 6]


def test_a_student_without_its_teachers_batch_norm() -> None:
    module = deep_module(student={"batch_norm": "none", "negative_slope": 0.2})
    module.make_teacher = partial(module.make_teacher, batch_norm="before", negative_slope=0.1)
    module.make_networks()
    assert (module.teacher.batch_norm, module.teacher.negative_slope) == ("before", 0.1)
    assert (module.student.batch_norm, module.student.negative_slope) == (None, 0.2)


def test_teacher_and_student_may_have_different_activations() -> None:
    module = deep_module(student={"activation": "erf"})
    module.make_teacher = partial(module.make_teacher, negative_slope=0.1)
    module.make_networks()
    assert module.teacher.activation == ("relu", 0.1)
    assert module.student.activation == ("erf", 0.0)
    inputs = torch.randn(1, 3, module.student.input_dim)
    activations = module.student.activations(inputs)
    torch.testing.assert_close(activations.post[0], torch.erf(activations.pre[0] / 2**0.5))


def test_weights_are_normalized_after_every_step(fit: Any) -> None:
    module = deep_module(normalize_weights=True)
    forward, norms = module.loss, []

    def watched(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        norms.append(row_norms(module))
        return forward(student, teacher)

    module.loss = watched
    fit(module, make_data(steps_per_epoch=3), limit_val_batches=0)
    before, *after = norms
    assert not torch.allclose(before, torch.ones_like(before))
    for norm in [*after, row_norms(module)]:
        torch.testing.assert_close(norm, torch.ones_like(norm))


def row_norms(module: TeacherStudent) -> torch.Tensor:
    """Of the nodes of hidden layer 2, each by its weights and bias, `[R, nodes]`."""
    layer = module.student.layers[1]
    return torch.cat([layer.weight, layer.bias.unsqueeze(-1)], dim=-1).detach().norm(dim=-1)


def test_resuming_is_exact(deep_fit: Callable[..., Path]) -> None:
    deep_fit("--trainer.max_epochs", "4", "--version", "whole")
    deep_fit("--trainer.max_epochs", "2", "--version", "cut")
    root = deep_fit("--trainer.max_epochs", "4", "--version", "cut", "--ckpt_path", "last")
    for name, tensor in weights(root / "whole").items():
        assert torch.equal(tensor, weights(root / "cut")[name])
    assert_same_records(root / "whole", root / "cut")
    for table in ("gradients", "activity"):
        pd.testing.assert_frame_equal(read_table(root / "whole", table), read_table(root / "cut", table))


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")  # the state after a chunk is meant
def test_resuming_within_an_epoch_is_exact(deep_fit: Callable[..., Path]) -> None:
    deep_fit("--trainer.max_epochs", "3", "--version", "whole")
    every = ("--checkpoint.every_n_train_steps", "1", "--checkpoint.filename", "null", "--checkpoint.save_top_k", "-1")
    settings = ("--trainer.max_epochs", "3", "--checkpoint.save_last", "true", *every)
    root = deep_fit(*settings, "--version", "cut")
    deep_fit(*settings, "--ckpt_path", str(root / "cut/checkpoints/epoch=1-step=14.ckpt"))  # after 2 of 3 chunks
    for name, tensor in weights(root / "whole").items():
        assert torch.equal(tensor, weights(root / "cut")[name])


def test_a_loaded_run_computes_what_was_recorded_of_it(deep_fit: Callable[..., Path]) -> None:
    """So its teacher is the conditioned one, once, and its BatchNorm that of evaluation mode."""
    run = deep_fit() / "version_0"
    module, data, _ = load_run(run)
    with torch.no_grad():
        (inputs,) = data.val_dataloader()[0]
        error = (module.teacher(inputs) - module.student(inputs)).square().mean(dim=(1, 2))
    recorded = read_table(run, "losses").query("epoch == 2")["val_mse"]
    torch.testing.assert_close(error, torch.tensor(recorded.to_numpy()))


def test_batch_norm_of_one_sample_is_refused(deep_fit: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        deep_fit("--data.init_args.batch_size", "1")
    assert stopped.value.code == 2
    assert "data.init_args.batch_size = 1: BatchNorm needs" in capsys.readouterr().err
