import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.fitting import TINY
from tsl.experiments import sample_complexity, train_all
from tsl.experiments.launchers import local
from tsl.experiments.planned_run import PlannedRun
from tsl.runs.records import COLUMNS, read_table, write_table
from tsl.runs.settings import MULTIPLIER

CONFIGS = [word for word in TINY if word != "--config"]
REPLICATES, NODES = 8, 25


def middle(settings: dict[str, Any]) -> float:
    """The size at which half of the nodes are recovered: 10 multiplier^1.5 d."""
    return 10 * settings[MULTIPLIER] ** 1.5 * settings["data.init_args.dim"]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of training, write the records of a known curve; gives the names of the runs written."""
    names: list[str] = []

    def write(run: PlannedRun, *_: object) -> str | None:
        if run.settings["data.init_args.train_size"] == 13:
            return "boom"
        names.append(run.path.name)
        run.path.mkdir(parents=True)
        (run.path / "config.yaml").write_text(yaml.safe_dump(run.settings))
        chance = 1 / (1 + (middle(run.settings) / run.settings["data.init_args.train_size"]) ** 4)
        recovered = np.random.default_rng(len(names)).random((REPLICATES, NODES)) < chance
        rows = {"replicate": np.repeat(range(REPLICATES), NODES), "node": [*range(1, NODES + 1)] * REPLICATES}
        first = pd.DataFrame(dict.fromkeys(COLUMNS["teacher_nodes"], 1) | rows).assign(epoch=run.epochs, split="val")
        first["recovered_0.95"] = recovered.ravel()
        deeper = first.assign(layer=2, **{"recovered_0.95": True})  # is not what is asked about
        on_train = deeper.assign(layer=1, split="train")
        write_table(run.path, "teacher_nodes", run.epochs, pd.concat([on_train, first, deeper]))
        losses = pd.DataFrame(dict.fromkeys(COLUMNS["losses"], 1.0), index=[0]).assign(epoch=run.epochs)
        write_table(run.path, "losses", run.epochs, losses)
        return None

    monkeypatch.setattr(local, "train", write)
    monkeypatch.setattr(train_all, "POLL", 0.01)
    return names


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    one_by_one = ["--workers", "1"]
    return [*CONFIGS, "--root", str(tmp_path), "--least", "10", "--most", "10000", "--share", "0.5", *one_by_one]


def test_the_tipping_point_of_a_known_curve(
    trained: list[str], command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main(command) == 0
    assert trained[:3] == ["N=10", "N=10000", "N=316"]
    home = tmp_path / "sample_complexity/tiny"
    (row,) = pd.read_csv(home / "tipping_tipping.csv").to_dict("records")
    truth = 10 * 2**1.5 * 6  # of multiplier 2 and d = 6
    assert row["low"] < truth < row["high"]
    assert row["size"] == pytest.approx(truth, rel=0.15)
    assert row["steps"] == len(trained) * 2 * 8 * 2  # epochs, steps an epoch, replicates of the config
    shares = pd.read_csv(home / "tipping_shares.csv")
    assert len(shares) == len(trained) * REPLICATES
    assert shares[shares["train_size"] == 10]["share"].max() < 0.1
    assert shares[shares["train_size"] == 10000]["share"].min() == 1
    for suffix in ("pdf", "png"):
        assert (home / f"tipping.{suffix}").stat().st_size > 5000
    told = capsys.readouterr().out
    assert "N* at which 50% of teacher nodes are recovered" in told
    assert "found within" in told

    before = list(trained)
    assert sample_complexity.main(command) == 0
    assert trained == before  # nothing is trained twice

    shutil.rmtree(home / trained[-1])
    assert sample_complexity.main(command) == 0
    assert trained == [*before, before[-1]]  # only what is missing


def test_how_it_grows_with_an_axis(
    trained: list[str], command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main([*command, "--vary", "multiplier=5,1,2"]) == 0
    assert trained[:4] == ["N=10,multiplier=1", "N=10,multiplier=2", "N=10,multiplier=5", "N=10000,multiplier=1"]
    told = capsys.readouterr().out
    exponent, error = (float(word) for word in told.split("N* grows as multiplier^")[1].split()[:3:2])
    assert exponent == pytest.approx(1.5, abs=0.15)
    assert 0 < error < 0.15
    nodes = np.log([4 * (1 + multiplier) for multiplier in (1, 2, 5)])
    slope = np.cov(np.log([1, 2, 5]), 2.5 * nodes)[0, 1] / np.var(np.log([1, 2, 5]), ddof=1)
    assert f"teacher-agnostic, K^(5/2) d³: multiplier^{slope:.2f} over" in told
    tipping = pd.read_csv(tmp_path / "sample_complexity/tiny/multiplier_tipping.csv")
    assert list(tipping["value"]) == [1, 2, 5]
    assert (tmp_path / "sample_complexity/tiny/multiplier.png").exists()


@pytest.mark.parametrize(
    ("axis", "values", "key", "expected"),
    [
        ("d", "7,9", "data.init_args.dim", [7, 9]),
        ("d", "7,9", "model.init_args.teacher.init_args.input_dim", [7, 9]),
        ("m", "3,5", "model.init_args.teacher.init_args.widths", [[3], [5]]),
        ("multiplier", "1.5,3", MULTIPLIER, [1.5, 3]),
    ],
)
def test_an_axis_stands_for_its_settings(
    trained: list[str],
    command: list[str],
    tmp_path: Path,
    axis: str,
    values: str,
    key: str,
    expected: Any,
) -> None:
    sample_complexity.main(
        [*command, "--vary", f"{axis}={values}", "--budget", "64"]
    )  # 2 runs of 2 × 8 steps × 2 replicates
    assert len(trained) == 2
    runs = [
        yaml.safe_load((tmp_path / "sample_complexity/tiny" / name / "config.yaml").read_text()) for name in trained
    ]
    assert [run[key] for run in runs] == expected


def test_the_order_of_the_theorem_in_d(trained: list[str], command: list[str], capsys: Any) -> None:
    assert sample_complexity.main([*command, "--vary", "d=10,20,40", "--precision", "1.5"]) == 0
    told = capsys.readouterr().out
    assert "K^(5/2) d³: d^2.97 over" in told  # log((2·40 + 1) 40² / ((2·10 + 1) 10²)) / log 4 = 2.974
    assert "K^(5/2) d: d^1.00 over" in told


def test_a_budget_ends_the_search_with_what_is_known(
    trained: list[str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main([*command, "--vary", "multiplier=1,2", "--budget", str(5 * 32)]) == 0
    assert len(trained) == 5
    told = capsys.readouterr().out
    assert "stopped within 10 to 316" in told
    assert "stopped within 10 to 10000" in told
    assert "the budget of 160 student-steps ended the search; give a larger --budget to continue" in told
    assert sample_complexity.main([*command, "--vary", "multiplier=1,2", "--budget", str(6 * 32)]) == 0
    assert len(trained) == 6


def test_ends_that_do_not_enclose_the_share(
    trained: list[str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main([*command, "--vary", "multiplier=.1,900", "--precision", "2"]) == 0
    told = capsys.readouterr().out
    assert "already reached at 10" in told
    assert "not reached at 10000" in told
    assert len(trained) == 4


def test_a_failed_run_ends_its_search(
    trained: list[str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main([*command, "--least", "13"]) == 1
    assert "boom" in capsys.readouterr().out
    assert trained == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "width=3"], "there is no axis 'width'; choose among d, m, multiplier"),
        (["--vary", "d=many"], "expected d=NUMBER"),
        (["--vary", "d=1.5"], "--vary d=1.5: expected whole positive numbers"),
        (["--vary", "multiplier=0,1"], "expected positive numbers"),
        (["--least", "10000"], "--least 10000, --most 10000 (data.init_args.train_size if not given): expected least"),
        (
            [
                "{model: {init_args: {teacher_initialization: {class_path: tsl.networks.SeparableInitialization, "
                "init_args: {polarity: [1, 2]}}}}}"
            ],
            "polarity: expected one value for all replicates, because a search finds one training size for them",
        ),
        (["{replicates: 1}"], "replicates = 1: the interval is over replicates"),
        (["{data: {init_args: {replacement: false}}}"], "set data.init_args.steps_per_epoch, and data"),
        (["{data: {init_args: {steps_per_epoch: null}}}"], "set data.init_args.steps_per_epoch, and data"),
        (
            ["{model: {init_args: {teacher: {init_args: {widths: [4, 4]}}}}}", "--vary", "m=2"],
            "= [4, 4]: expected one hidden",
        ),
        (
            ["{model: {init_args: {student_widths: [9]}}}", "--vary", "m=2"],
            "student.init_args.widths fixes the student's nodes",
        ),
    ],
)
def test_mistakes_are_named(
    trained: list[str],
    command: list[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if arguments[0].startswith("{"):
        (tmp_path / "overlay.yaml").write_text(arguments[0])
        command, arguments = (
            [*CONFIGS, str(tmp_path / "overlay.yaml"), *command[2:]],
            arguments[1:],
        )
    assert sample_complexity.main([*command, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert trained == []


def test_runs_with_other_settings_are_refused(
    trained: list[str], command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_complexity.main([*command, "--budget", "64"]) == 0
    (tmp_path / "overlay.yaml").write_text("{data: {init_args: {val_size: 51}}}")
    assert sample_complexity.main([*CONFIGS, str(tmp_path / "overlay.yaml"), *command[2:]]) == 2
    assert "data.init_args.val_size: 50 in the run, 51 now" in capsys.readouterr().err


@pytest.mark.slow
def test_two_real_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tiny students recover nothing: both ends are trained, and that is told."""
    command = [*CONFIGS, "--root", str(tmp_path), "--least", "20", "--most", "40"]
    assert sample_complexity.main(command) == 0
    assert "not reached at 40" in capsys.readouterr().out
    home = tmp_path / "sample_complexity/tiny"
    for size in (20, 40):
        nodes = read_table(home / f"N={size}", "teacher_nodes")
        assert set(nodes["epoch"]) == {2}  # nodes are measured at the end alone
        shares = pd.read_csv(home / "tipping_shares.csv").query("train_size == @size")["share"].tolist()
        assert shares == nodes.groupby("replicate")["recovered_0.95"].mean().tolist()
        config = yaml.safe_load((home / f"N={size}/config.yaml").read_text())
        assert config["data"]["init_args"]["train_size"] == size
    (row,) = pd.read_csv(home / "tipping_tipping.csv").to_dict("records")
    assert row["size"] == math.inf
