"""Settings without effect are said to be so, once, and the run goes on."""

from pathlib import Path

import pytest

from tests.fitting import TINY
from tsl.fit import main
from tsl.no_effect import settings_without_effect

M = "model.init_args"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {
                f"{M}.optimizer.init_args.lr": 0.5,
                f"{M}.lr_scheduler.class_path": "tsl.modules.Milestones",
                f"{M}.lr_scheduler.init_args.milestones.0": 0.2,
            },
            f"{M}.optimizer.init_args.lr = 0.5: the schedule Milestones sets the rate, to 0.2 at first",
        ),
        (
            {f"{M}.teacher.init_args.batch_norm": None, f"{M}.teacher.init_args.batch_norm_affine": False},
            f"{M}.teacher.init_args.batch_norm_affine = False: there is no BatchNorm",
        ),
        (
            {
                f"{M}.teacher.init_args.widths": [4],
                f"{M}.trained_layers": [2],
                f"{M}.normalize_weights": True,
            },
            f"{M}.normalize_weights = True: no hidden layer is trained",
        ),
        (
            {"records.every_n_epochs": 5, "records.epochs": [0, 1]},
            "records.every_n_epochs = 5: records.epochs says which epochs are measured",
        ),
        (
            {"model.class_path": "tsl.modules.Classifier", "records.every_n_epochs": 1, "records.pairs": True},
            "records.pairs = True: a Classifier has no teacher, so its nodes are not measured",
        ),
        ({"trainer.log_every_n_steps": 50}, "trainer.log_every_n_steps = 50: scalars are logged once an epoch"),
        (
            {"trainer.enable_checkpointing": False, "checkpoint.every_n_epochs": 10},
            "checkpoint.every_n_epochs = 10: trainer.enable_checkpointing is false",
        ),
        (
            {"trainer.gradient_clip_val": None, "trainer.gradient_clip_algorithm": "norm"},
            "trainer.gradient_clip_algorithm = norm: gradients are not clipped",
        ),
        (
            {"trainer.max_epochs": 2, "trainer.min_epochs": 5},
            "trainer.min_epochs = 5: trainer.max_epochs = 2 ends the run earlier",
        ),
    ],
)
def test_it_is_named_with_the_reason(settings: dict[str, object], expected: str) -> None:
    assert list(settings_without_effect(settings)) == [expected]
    last = [*settings][-1]
    assert not list(settings_without_effect({key: value for key, value in settings.items() if key != last}))


def test_the_run_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = "{class_path: tsl.modules.Milestones, init_args: {milestones: {0: 0.02}}}"
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--model.lr_scheduler", schedule])
    printed = capsys.readouterr().err
    assert printed == (
        "without effect: model.init_args.optimizer.init_args.lr = 0.01: the schedule Milestones sets the rate, to 0.02 "
        "at first\n"
    )
