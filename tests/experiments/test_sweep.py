"""Sweeps: what a sweep file says, the runs that come of it, and a real one of tiny students."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fitting import ROOT
from tsl.errors import InputError
from tsl.experiments import sweep as command
from tsl.experiments import sweep_plan
from tsl.experiments.sweep_file import SweepFile, find_axes, full_name
from tsl.experiments.sweep_plan import plan_sweep, range_of, short, split
from tsl.runs import Run, read_runs
from tsl.runs.records import read_table
from tsl.runs.sweep_state import describe_sweep

CONFIGS = [str(ROOT / "configs/two_layer.yaml"), str(ROOT / "tests/tiny.yaml")]
LR = "model.init_args.optimizer.init_args.lr"
STD, START_STD = "data.init_args.distribution.init_args.std", "model.init_args.student_initialization.init_args.std"


def write(path: Path, **said: Any) -> Path:
    path.write_text(yaml.safe_dump({"configs": CONFIGS, "axes": {"multiplier": [1, 2]}} | said))
    return path


def status_of(*arguments: str) -> Any:
    """The exit status, of the command's own or of tsl.fit's messages."""
    try:
        return command.main(arguments)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"config": ["a.yaml"]}, "there is no key 'config'; did you mean configs?"),
        ({"configs": []}, "configs = []: expected names of configs"),
        ({"configs": [3]}, "configs = [3]: expected names of configs"),
        ({"axes": {}}, "axes = {}: expected settings, each with a list of values"),
        ({"axes": {"polarity": []}}, "axes.polarity = []: expected a list of one or more values"),
        ({"axes": {"polarity": 3}}, "axes.polarity = 3: expected a list of one or more values"),
        ({"axes": {"polarity": [1, 2, 1]}}, "axes.polarity lists 1 twice"),
        ({"seeds": 0}, "seeds = 0: expected a whole number, 1 or more"),
        ({"seeds": True}, "seeds = True: expected a whole number, 1 or more"),
        ({"seeds": "many"}, "seeds = many: expected a whole number, 1 or more"),
        ({"axes": {"width": [1]}}, "axes.width: no setting of these configs has that name; did you mean widths"),
        ({"axes": {"std": [1, 2]}}, f"axes.std may be {STD} or {START_STD}: write one of these names in full"),
        (
            {"axes": {"dim": [3], "input_dim": [3]}},
            "axes.input_dim and axes.dim both name model.init_args.teacher.init_args.input_dim: leave one of them out",
        ),
        ({"axes": {"replicates": [1, 2]}}, "axes.replicates: replicates cannot vary, because the sweep sets it"),
        ({"axes": {"default_root_dir": ["a"]}}, "trainer.default_root_dir cannot vary"),
        ({"axes": {"overlay": ["no_such.yaml", "E2.yaml"]}}, "config no_such.yaml: no such file"),
        ({"axes": {"multiplier": [*range(1, 1002)]}}, "asks for 1,001 combinations × 1 seeds: give --yes"),
        ({"axes": {"multiplier": [1, "banana"]}}, "multiplier"),
        ({"axes": {"polarity": [1, "banana"]}}, "polarity"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, said: dict[str, Any], message: str, capfd: Any) -> None:
    file = write(tmp_path / "sweep.yaml", **said)
    assert status_of(str(file), "--root", str(tmp_path / "runs")) == 2
    told = capfd.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not (tmp_path / "runs").exists()


def test_a_sweep_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\0"])
def test_what_is_no_sweep_file(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(text)
    assert command.main([str(tmp_path / "s.yaml")]) == 2
    assert str(tmp_path / "s.yaml") in capsys.readouterr().err


def test_an_axis_is_named_by_its_last_words() -> None:
    keys = [
        "model.init_args.teacher.init_args.widths",
        "model.init_args.student.init_args.widths",
        "trainer.max_epochs",
    ]
    assert full_name("max_epochs", keys) == "trainer.max_epochs"
    assert full_name("teacher.widths", keys) == keys[0]
    assert full_name(keys[1], keys) == keys[1]
    assert full_name("model.student.widths", keys) == keys[1]
    with pytest.raises(InputError, match="may be"):
        full_name("widths", keys)


def test_dim_stands_for_both_settings() -> None:
    keys = {"data.init_args.dim": 3, "model.init_args.teacher.init_args.input_dim": 3}
    (axis,) = find_axes({"dim": [4, 5]}, keys, [])
    assert axis.settings == ("data.init_args.dim", "model.init_args.teacher.init_args.input_dim")
    assert not axis.along_replicates


@given(
    lengths=st.dictionaries(st.sampled_from("abc"), st.integers(1, 6), min_size=1),
    most=st.integers(1, 12),
)
def test_parts_of_a_grid_have_every_combination_once(lengths: dict[str, int], most: int) -> None:
    grid = {name: [*range(length)] for name, length in lengths.items()}

    def size(part: dict[str, list[Any]]) -> int:
        return math.prod(map(len, part.values()))

    parts = split(grid, lambda part: size(part) <= most)
    assert all(size(part) <= most for part in parts)
    found = [tuple(x) for part in parts for x in np.array(np.meshgrid(*part.values())).reshape(len(part), -1).T]
    assert len(found) == len(set(found)) == size(grid)


def test_names_of_runs() -> None:
    assert (short(2e-3), short([20, 30]), short("E5/aware.yaml"), short("a/b.pt")) == (
        *("0.002", "[20,30]", "aware", "b.pt"),
    )
    assert (range_of([0.5]), range_of([0.5, 1, 2])) == ("0.5", "0.5..2")


def test_axes_become_replicates_where_they_can(tmp_path: Path) -> None:
    axes = {"multiplier": [1, 2], "polarity": [0, 1, 2], "train_size": [20, 60], "overlay": ["E2.yaml"]}
    cells = plan_sweep(SweepFile(tuple(CONFIGS), axes, 4), tmp_path / "s", 2)
    assert [dict(cell.values) for cell in cells] == [
        {"multiplier": "1", "overlay": "E2"},
        {"multiplier": "2", "overlay": "E2"},
    ]
    for cell in cells:
        assert cell.settings["seeds"] == 4
        assert cell.configs[-1] == ROOT / "configs/E2.yaml"
        assert {key.rsplit(".", 1)[-1]: values for key, values in cell.settings["grid"].items()} == {
            "polarity": [0, 1, 2],
            "train_size": [20, 60],
        }


def test_a_grid_is_split_where_a_run_would_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sweep_plan, "core_seconds", lambda run: 700.0 * run.settings["replicates"] / 4
    )  # a combination of 4 seeds
    cells = plan_sweep(SweepFile(tuple(CONFIGS), {"polarity": [0, 1, 2], "multiplier": [1]}, 4), tmp_path / "s", 2)
    assert [cell.values["polarity"] for cell in cells] == ["0..1", "2"]


def test_training_sizes_are_runs_where_steps_depend_on_them(tmp_path: Path) -> None:
    overlay = tmp_path / "whole.yaml"
    overlay.write_text("data: {init_args: {steps_per_epoch: null, replacement: false}}")
    cells = plan_sweep(SweepFile((*CONFIGS, str(overlay)), {"train_size": [20, 40]}, 1), tmp_path / "s", 2)
    assert [cell.values for cell in cells] == [{"train_size": "20"}, {"train_size": "40"}]


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "small.yaml", axes={"multiplier": [1, 2], "polarity": [0, 1]}, seeds=3)
    assert command.main([str(file), "--root", str(tmp_path / "runs"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "2 runs of 12 replicates, 192 student-steps" in told  # 2 epochs of 8 steps
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's directory, trained."""
    home = tmp_path_factory.mktemp("sweep")
    file = write(home / "small.yaml", axes={"multiplier": [1, 2], "polarity": [0, 1]}, seeds=2)
    assert command.main([str(file), "--root", str(home / "runs")]) == 0
    return home / "runs/small"


def test_every_combination_is_as_it_is_alone(swept: Path, tmp_path: Path) -> None:
    """Setting by setting and seed by seed the records are those of a run of its own, bit for bit."""
    frame = read_runs(swept, "teacher_nodes")
    assert {*frame["multiplier"]} == {1, 2}
    assert {*frame["polarity"]} == {0, 1}
    assert {*frame["seed"]} == {0, 1}
    words = [word for config in CONFIGS for word in ("--config", config)]
    alone = ["--seed_everything", "1", "--replicates", "1", "--model.init_args.student.init_args.multiplier", "2"]
    alone += ["--model.init_args.teacher_initialization.init_args.polarity", "0"]
    where = ["--trainer.default_root_dir", str(tmp_path), "--version", "alone"]
    subprocess.run([sys.executable, "-m", "tsl.fit", *words, *alone, *where], check=True, capture_output=True)
    (path,) = tmp_path.glob("*/alone")
    expected = read_table(path, "teacher_nodes").drop(columns="replicate")
    chosen = frame.query("multiplier == 2 and polarity == 0 and seed == 1")
    pd.testing.assert_frame_equal(chosen[expected.columns].reset_index(drop=True), expected.reset_index(drop=True))


def test_a_sweep_is_read_as_one_frame(swept: Path) -> None:
    losses = read_runs(swept, "losses")
    assert len(losses) == 2 * 4 * 3  # runs × replicates × epochs
    by_setting = losses.groupby(["multiplier", "polarity", "epoch"])["seed"].apply(list)
    assert all(seeds == [0, 1] for seeds in by_setting)
    with pytest.raises(InputError, match=r"no run in .* has records of certificate"):
        read_runs(swept, "certificate")


def test_what_was_trained_is_not_repeated(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = swept.parents[1] / "small.yaml"
    before = {path: path.stat().st_mtime for path in swept.rglob("*.parquet")}
    assert command.main([str(file), "--root", str(swept.parent)]) == 0
    assert "runs: 2, of them complete: 2" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime for path in swept.rglob("*.parquet")}


def test_how_far_it_is_and_what_it_cost_is_said(swept: Path) -> None:
    far, cost = describe_sweep(swept)
    assert far == "sweep of 2 runs: 2 complete; 128 of 128 student-steps"
    assert cost.startswith("cost of its runs, one after the other: 128 student-steps")
    assert [*describe_sweep(swept.parent)] == []


def test_another_sweep_of_the_same_name_is_refused(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "small.yaml", axes={"multiplier": [1, 2], "polarity": [0, 3]}, seeds=2)
    assert command.main([str(file), "--root", str(swept.parent)]) == 2
    told = capsys.readouterr().err
    assert f"{swept} holds the runs of another sweep:" in told
    assert "axes.polarity: [0, 1] there, [0, 3] now" in told


def test_a_damaged_plan_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs/small").mkdir(parents=True)
    (tmp_path / "runs/small/sweep.json").write_text("{")
    file = write(tmp_path / "small.yaml")
    assert command.main([str(file), "--root", str(tmp_path / "runs")]) == 2
    assert "sweep.json is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_and_a_second_start_end_as_an_undisturbed_sweep(swept: Path, tmp_path: Path) -> None:
    """Stopped in mid-run, then started twice at the same time: every run is trained once, with the same outcome."""
    overlay = tmp_path / "longer.yaml"
    overlay.write_text("trainer: {max_epochs: 25}")
    said = {"configs": [*CONFIGS, str(overlay)], "axes": {"multiplier": [1, 2]}, "seeds": 2}
    file = write(tmp_path / "longer_sweep.yaml", **said)

    def started(root: str) -> "subprocess.Popen[str]":
        words = [sys.executable, "-m", "tsl.sweep", str(file), "--root", str(tmp_path / root)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    undisturbed = started("undisturbed")
    undisturbed.communicate()
    assert undisturbed.returncode == 0
    stopped = started("stopped")
    while not any((tmp_path / "stopped").glob("*/*/checkpoints/last.ckpt")):
        time.sleep(0.05)
    os.kill(stopped.pid, signal.SIGINT)
    told, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "The same command continues it" in told
    both = [started("stopped"), started("stopped")]
    assert all("all runs together" in each.communicate()[0] for each in both)
    assert [each.returncode for each in both] == [0, 0]
    for table in ("losses", "teacher_nodes"):
        frames = [read_runs(tmp_path / root, table) for root in ("undisturbed", "stopped")]
        pd.testing.assert_frame_equal(*frames)
    for path in (tmp_path / "stopped").glob("*/*/status.json"):
        assert json.loads(path.read_text())["cost"]["student_steps"] == 2 * 8 * 25
    assert len(Run(next((tmp_path / "stopped").glob("*/multiplier=1"))).groups) == 1
