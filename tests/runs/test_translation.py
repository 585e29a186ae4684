"""Settings of older runs and short ways to say them, and a run directory of the commit before the rooms were laid."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fitting import ROOT
from tsl.errors import InputError
from tsl.figures.__main__ import main as draw
from tsl.fit import main as fit
from tsl.modules.load_run import load_run
from tsl.report.__main__ import main as report
from tsl.runs import Run
from tsl.runs.listing import list_runs
from tsl.runs.records import read_table
from tsl.runs.settings import MULTIPLIER
from tsl.runs.translation import translated, translated_arguments

LIKE, WIDTHS, CONVNET = "tsl.networks.LikeTeacher", "tsl.networks.WithWidths", {"class_path": "tsl.networks.ConvNet"}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"multiplier": 2}, {"class_path": LIKE, "init_args": {"multiplier": 2}}),
        (
            {"multiplier": 2, "student": {"dropout": 0.1}},
            {"class_path": LIKE, "init_args": {"dropout": 0.1, "multiplier": 2}},
        ),
        ({"multiplier": 2, "student_widths": [6]}, {"class_path": WIDTHS, "init_args": {"widths": [6]}}),
        ({"multiplier": 1, "student_network": CONVNET, "student": None, "student_widths": None}, CONVNET),
        ({"multiplier": 2, "student": LIKE}, {"class_path": LIKE, "init_args": {"multiplier": 2}}),
        ({"student": {"dropout": 0.1}}, {"init_args": {"dropout": 0.1}}),
        ({"student": CONVNET}, CONVNET),
    ],
)
def test_one_setting_says_which_network_a_student_is(before: dict[str, Any], now: dict[str, Any]) -> None:
    nested = {"model": {"class_path": "tsl.modules.TeacherStudent", "init_args": {"loss": "x", **before}}}
    assert translated(nested)["model"]["init_args"] == {"loss": "x", "student": now}
    assert translated({"model": before})["model"] == {"student": now}
    assert translated(translated(nested)) == translated(nested)


@pytest.mark.parametrize("student", [{"student": CONVNET}, {"student_network": CONVNET}])
def test_two_settings_that_say_it_are_refused(student: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"init_args.multiplier = 2 and model.init_args.student.* both choose"):
        translated({"model": {"init_args": {"multiplier": 2, **student}}})


def test_class_paths_that_moved_are_followed_wherever_they_stand() -> None:
    before = {
        "trainer": {"callbacks": [{"class_path": "tsl.callbacks.WandbBoard"}]},
        "x": "tsl.teacher_of_run.TeacherOfRun",
    }
    now = {"trainer": {"callbacks": [{"class_path": "tsl.wandb.WandbBoard"}]}, "x": "tsl.modules.TeacherOfRun"}
    assert translated(before) == now


def test_the_command_line_is_translated_too() -> None:
    student = "--model.init_args.student"
    assert translated_arguments(["--model.multiplier", "2", "--data.dim=3"]) == [
        *(f"{student}={LIKE}", f"{student}.init_args.multiplier", "2", "--data.dim=3")
    ]
    assert translated_arguments(["--model.init_args.student_widths=[3]"]) == [
        *(f"{student}={WIDTHS}", f"{student}.init_args.widths=[3]")
    ]
    assert translated_arguments(["--model.init_args.student_network.init_args.widths", "[3]"])[0] == (
        f"{student}.init_args.widths"
    )
    assert translated_arguments(["--model.init_args.teacher_initialization=tsl.teacher_of_run.TeacherOfRun"]) == [
        "--model.init_args.teacher_initialization=tsl.modules.TeacherOfRun"
    ]


@pytest.fixture
def before_rooms(tmp_path: Path) -> Path:
    """A copy of three runs that the commit before the rooms made; the third has the teacher of the first."""
    return Path(shutil.copytree(ROOT / "tests/fixtures/run_before_rooms", tmp_path / "old"))


def test_a_run_of_before_is_listed_drawn_reported_loaded_and_resumed(
    before_rooms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = before_rooms / "tiny/first"
    assert [row["state"] for row in list_runs(before_rooms) if row["run"] == "tiny/first"] == ["complete"]
    assert Run(run).settings[MULTIPLIER] == 2
    assert draw(["convergence", str(run), "--out", str(tmp_path / "figure.png")]) == 0
    assert report([str(run), "--out", str(tmp_path / "report.html")]) == 0
    assert load_run(run).module.student.widths == [8]
    assert load_run(before_rooms / "tiny/wide").module.student.widths == [6]
    assert load_run(before_rooms / "tiny/wide").module.student.negative_slope == 0.1
    monkeypatch.chdir(tmp_path)  # to which its default_root_dir and the run that its teacher is of are relative
    for version in ("first", "wide", "again"):
        config = str(Path("old/tiny") / version / "config.yaml")
        fit(["--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "3"])
        assert read_table(before_rooms / "tiny" / version, "losses")["epoch"].max() == 3
    saved = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]
    assert saved["student"]["init_args"]["multiplier"] == 2
    assert "multiplier" not in saved


def test_a_later_setting_replaces_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = ["--config", str(ROOT / "configs/two_layer.yaml")]
    with pytest.raises(SystemExit):
        fit([*configs, "--model.student.dropout", "0.1", "--model.student_widths", "[7]", "--print_config"])
    student = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["student"]
    assert student["class_path"] == WIDTHS
    assert (student["init_args"]["widths"], student["init_args"]["dropout"]) == ([7], 0.1)
