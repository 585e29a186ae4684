"""Every mistake gets one message that names the key and the remedy, a non-zero exit, and loses nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from tests.fitting import TINY
from tsl.errors import InputError
from tsl.fit import main
from tsl.networks import MLP
from tsl.runs.records import read_table

MODEL, DATA = "--model.init_args", "--data.init_args"

NO_EPOCHS = ["--trainer.max_epochs", "null"]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the tiny configuration with a mistake in the arguments; gives the one message printed."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main([*TINY, "--trainer.default_root_dir", str(tmp_path), *arguments])
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert "Traceback" not in message
        return message

    return run


@pytest.mark.parametrize("group", ["model", "data"])
def test_a_group_without_a_class(group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(Path(TINY[1]).read_text()) | {group: {}}
    (tmp_path / "empty.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit) as stopped:
        main(["--config", str(tmp_path / "empty.yaml"), "--trainer.default_root_dir", str(tmp_path / "runs")])
    assert stopped.value.code == 2
    assert f"error: {group}: expected class_path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([f"{DATA}.batchsize", "4"], ["batchsize"]),
        ([f"{MODEL}.teacher.init_args.widths", "[-3]"], ["widths", "v>0"]),
        (["--replicates", "0"], ["replicates", "v>0"]),
        (["--records.thresholds", "[1.5]"], ["records.thresholds", "v<1"]),
        ([f"{MODEL}.multiplier", "1.3"], ["student.init_args.multiplier = 1.3", "whole numbers"]),
        ([f"{DATA}.replacement", "false", f"{DATA}.batch_size", "61"], ["data.init_args.batch_size", "replacement"]),
        (["--config", "no_such.yaml"], ["no_such.yaml"]),
        (["--ckpt_path", "no_such.ckpt"], ["--ckpt_path no_such.ckpt: no such file"]),
        (["--ckpt_path", "last"], ["holds no checkpoints/last.ckpt", "leave --ckpt_path out"]),
        (["--seed_everything", "true"], ["seed_everything", "whole number"]),
        ([f"{DATA}.dim", "7"], ["data.init_args.dim = 7", "model.init_args.teacher.init_args.input_dim = 6"]),
        ([f"{MODEL}.optimizer.init_args.lr", "1e200"], ["loss is not finite in epoch 1", "optimizer.init_args.lr"]),
        ([f"{MODEL}.teacher_initialization.init_args.polarity", "[1, 2, 3]"], ["polarity lists 3 values for 2"]),
        ([f"{MODEL}.trained_layers", "[3]"], ["model.init_args.trained_layers = [3]"]),
        (["--trainer.gradient_clip_val", "1"], ["trainer.gradient_clip_val", "gradient clipping"]),
        ([f"{DATA}.distribution", "no_such.Inputs"], ["No module named 'no_such'", "python -m tsl.fit also finds"]),
        (
            [f"{MODEL}.lr_scheduler", "{class_path: tsl.modules.Milestones, init_args: {milestones: {5: .2, 0: .1}}}"],
            ["lr_scheduler.init_args.milestones = {5: 0.2, 0: 0.1}", "ascending order from 0"],
        ),
        (
            ["--total_samples", "90", *NO_EPOCHS],
            ["total_samples = 90 is not a multiple of the 40 samples", "80 or 120"],
        ),
        (["--total_samples", "7", *NO_EPOCHS], ["choose 40"]),
        ([f"{MODEL}.student_initialization.init_args.std", "[1, .inf]"], ["std.1 = inf: expected a finite number"]),
        ([f"{MODEL}.student.init_args.multiplier", "1e308"], ["multiplier = 1e+308", "whole numbers"]),
        ([f"{DATA}.distribution.init_args.std", "1e12"], ["loss is not finite", "distribution.init_args.std = 1e+12"]),
        ([f"{DATA}.batch_size", "1000000000000"], ["not enough memory", "batch_size"]),
        (["--checkpoint.monitor", ""], ["checkpoint.monitor: expected a metric's name"]),
        ([f"{MODEL}.lr_scheduler", "{}"], ["model.init_args.lr_scheduler = {}: expected a value, or class_path"]),
        (
            [f"{MODEL}.optimizer.init_args.lr", "1e308", f"{MODEL}.steps", "eager", "--trainer.precision", "32-true"],
            ["Very large settings: model.init_args.optimizer.init_args.lr = 1e+308"],
        ),
        (
            [f"{MODEL}.lr_scheduler", "{class_path: StepLR, init_args: {step_size: 1, last_epoch: 3}}"],
            ["model.init_args.optimizer or lr_scheduler: ", "last_epoch"],
        ),
        ([f"{MODEL}.optimizer.init_args.weight_decay", "{}"], ["weight_decay = {}: expected a value"]),
        (["--trainer.max_time", "soon"], ["trainer.max_time: ", "DD:HH:MM:SS"]),
        (["--trainer.overfit_batches", "0.5"], ["trainer.overfit_batches: "]),
        (["--total_samples", "40"], ["total_samples = 40 means 1 epochs, but trainer.max_epochs = 2", "null"]),
        ([f"{MODEL}.optimizer.init_args.lr", "-1"], ["model.init_args.optimizer", "Invalid learning rate: -1.0"]),
        ([f"{DATA}.batch_size", "null"], ["data.init_args.batch_size = null: expected PositiveInt"]),
        ([f"{MODEL}.loss", "null"], ["model.init_args.loss = null: expected Callable"]),
        ([f"{MODEL}.multiplier", "null"], ["model.init_args.student.init_args.multiplier"]),
        ([f"{MODEL}.condition_teacher", "null"], ["model.init_args.condition_teacher = null: expected bool"]),
        (["--trainer.overfit_batches", "null"], ["trainer.overfit_batches: expected int, expected float"]),
        (
            [f"{DATA}.train_size", "1000000000000"],
            ["there is not enough memory", "lower --replicates, data."],
        ),
        (["--replicates", "1000000000000"], ["replicates = 1000000000000: expected at most 16384"]),
        (["--trainer.check_val_every_n_epoch", "0"], ["trainer.check_val_every_n_epoch = 0: expected 1 or more"]),
        (["--trainer.val_check_interval", "0.5"], ["trainer.val_check_interval = 0.5: expected 1.0"]),
        (["--seed_everything", "4294967296"], ["seed_everything = 4294967296", "from 0 to 4294967295"]),
        (["--trainer.devices", "banana"], ["trainer: `devices`", "should be an int > 0"]),
        ([f"{MODEL}.optimizer", "{class_path: torch.optim.LBFGS}"], ["optimizer = LBFGS", "such as torch.optim.SGD"]),
        ([f"{MODEL}.optimizer", "{class_path: torch.optim.Adafactor}"], ["scales the steps of all replicates"]),
        ([f"{MODEL}.teacher_initialization.init_args.bias", ".nan"], ["bias = nan: expected a finite number"]),
        (
            [f"{MODEL}.student_widths", "[8, 8]"],
            ["student.init_args.widths = [8, 8] has 2 hidden layers, but the teacher has 1"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    refused: Callable[..., str], arguments: list[str], expected: list[str]
) -> None:
    message = refused(*arguments)
    for part in expected:
        assert part in message, message


def test_weights_that_are_not_finite_are_named(refused: Callable[..., str], tmp_path: Path) -> None:
    teacher = {
        name: torch.ones_like(weight)
        for name, weight in MLP(2, input_dim=6, widths=[4], output_dim=3).state_dict().items()
    }
    teacher["layers.1.weight"][1, 0, 0] = torch.nan
    torch.save(teacher, tmp_path / "teacher.pt")
    file = f"{{class_path: tsl.networks.FromFile, init_args: {{path: {tmp_path / 'teacher.pt'}}}}}"
    message = refused(f"{MODEL}.teacher_initialization", file)
    assert "teacher.layers.1.weight has NaN or infinite values before training" in message


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], "--config two_layer.yaml"), (["a.yaml"], "(a config is given by --config)")]
)
def test_without_a_config(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_batches_are_counted_as_tsl_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chunk of 3 of the 8 steps of an epoch is one batch of Lightning's."""
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--trainer.limit_train_batches", "1"])
    printed = capsys.readouterr()
    assert "trainer.limit_train_batches = 1 counts batches as tsl makes them" in printed.err
    assert "12 student-steps" in printed.out  # 3 steps × 2 replicates × 2 epochs


def test_every_mistake_is_one_line(refused: Callable[..., str]) -> None:
    message = refused(f"{MODEL}.teacher.init_args.widths", "[4, -3]")
    assert message.count("\n") == 1
    assert message.startswith("error: model.init_args.teacher.init_args.widths: ")


def test_what_is_no_mistake_of_the_user_says_where_to_report_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("tsl.modules.steps.StepModule.take_steps", broken)
    with pytest.raises(KeyError) as bug:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path)])
    [note] = bug.value.__notes__
    assert "Please report it where you got tsl from, with the lines above" in note


def test_a_milestone_may_be_added_by_its_dotted_name(tmp_path: Path) -> None:
    schedule = "{class_path: tsl.modules.Milestones, init_args: {milestones: {0: .01}}}"
    added = [f"{MODEL}.lr_scheduler", schedule, f"{MODEL}.lr_scheduler.init_args.milestones.1", "0.05"]
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), *added])
    state = torch.load(tmp_path / "tiny/version_0/checkpoints/last.ckpt", weights_only=True)
    assert state["lr_schedulers"][0]["_last_lr"] == [0.05]


def test_a_plateau_is_looked_for_in_evaluated_epochs_alone(tmp_path: Path) -> None:
    settings = "{monitor: val/loss, patience: 0, threshold: 1}"
    schedule = f"{{class_path: pytorch_lightning.cli.ReduceLROnPlateau, init_args: {settings}}}"
    sparse = ["--trainer.check_val_every_n_epoch", "2", "--trainer.max_epochs", "5"]
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), f"{MODEL}.lr_scheduler", schedule, *sparse])
    state = torch.load(tmp_path / "tiny/version_0/checkpoints/last.ckpt", weights_only=True)
    assert state["lr_schedulers"][0]["last_epoch"] == 2  # epochs 2 and 4


def test_divergence_keeps_what_was_written(refused: Callable[..., str], tmp_path: Path) -> None:
    schedule = "{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 2, gamma: 1e200}}"
    refused("--trainer.max_epochs", "5", f"{MODEL}.lr_scheduler", schedule)
    run = tmp_path / "tiny/version_0"
    assert list(read_table(run, "losses")["epoch"].unique()) == [0, 1, 2]
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["epoch"] == 1
    assert all(tensor.isfinite().all() for name, tensor in state["state_dict"].items())


def test_a_run_is_not_written_over(refused: Callable[..., str], tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), "--version", "mine"])
    assert "already holds a run" in refused("--version", "mine")


def test_a_run_goes_on_only_as_the_same_run(refused: Callable[..., str], tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path)])
    message = refused(f"{MODEL}.optimizer.init_args.lr", "0.5", "--trainer.max_epochs", "3", "--ckpt_path", "last")
    assert "model.init_args.optimizer.init_args.lr: 0.01 in the run, 0.5 now" in message
    assert "max_epochs" not in message


def test_a_run_goes_on_in_its_own_place(refused: Callable[..., str], tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path)])
    run = tmp_path / "tiny/version_0"
    before = (run / "metrics.csv").read_text()
    checkpoint = str(run / "checkpoints/last.ckpt")
    assert "a resumed run goes on in its own directory" in refused("--ckpt_path", checkpoint, "--version", "other")
    assert "trainer.precision: 64-true in the run" in refused(
        "--ckpt_path", checkpoint, "--trainer.precision", "32-true"
    )
    assert (run / "metrics.csv").read_text() == before


def test_a_checkpoint_of_another_shape(refused: Callable[..., str], tmp_path: Path) -> None:
    main([*TINY, "--trainer.default_root_dir", str(tmp_path)])
    stray = tmp_path / "stray.ckpt"
    (tmp_path / "tiny/version_0/checkpoints/last.ckpt").rename(stray)
    message = refused(f"{MODEL}.multiplier", "3", "--ckpt_path", str(stray))
    assert "student.layers.0.weight is [2, 8, 6] in the checkpoint, [2, 12, 6] here" in message


def test_a_damaged_checkpoint(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    assert "broken.ckpt" in refused("--ckpt_path", str(tmp_path / "broken.ckpt"))


def test_the_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSL_DEBUG", "1")
    with pytest.raises(InputError, match="multiplier"):
        main([*TINY, "--trainer.default_root_dir", str(tmp_path), f"{MODEL}.multiplier", "1.3"])
