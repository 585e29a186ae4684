"""What W&B is given, read back from what wandb itself wrote offline."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from tests.fitting import ROOT, TINY
from tests.wandb.wandb_file import WandbRun, read_wandb_runs
from tsl.fit import main
from tsl.runs.records import read_table
from tsl.wandb import WandbBoard
from tsl.wandb.logger import WandbRunLogger

OVERLAY = ["--config", str(ROOT / "configs/logger/wandb.yaml")]
ALIGNMENTS = "{cka: tsl.metrics.LinearCKA, distance: tsl.metrics.ProcrustesDistance}"
LAYER = "specialization/layer1"


class Logged(NamedTuple):
    """A run of 2 epochs, and the same run after it went on for a third."""

    directory: Path
    wandb: WandbRun
    metrics: pd.DataFrame
    config: dict[str, Any]
    artifact_files: set[str]
    resumed: WandbRun


@pytest.fixture(scope="module")
def wandb_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """An environment in which wandb is quiet and writes nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_MODE", "offline")
        yield patch


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, wandb_environment: pytest.MonkeyPatch) -> Logged:
    """Offline by the logger's own setting, with log_model, which Lightning's logger would refuse."""
    root = tmp_path_factory.mktemp("runs")
    settings = ["--trainer.default_root_dir", str(root), "--records.alignments", ALIGNMENTS]
    settings += ["--trainer.callbacks.init_args.every_n_epochs", "2"]
    for name in ("offline", "log_model"):
        settings += [f"--trainer.logger.init_args.{name}", "true"]
    wandb_environment.delenv("WANDB_MODE")
    main([*TINY, *OVERLAY, *settings, "--trainer.max_epochs", "2"])
    directory = root / "tiny/version_0"
    metrics = pd.read_csv(directory / "metrics.csv")
    config = yaml.safe_load((directory / "config.yaml").read_text())
    records = {str(path.relative_to(directory)) for path in (directory / "records").rglob("*.parquet")}
    main([*TINY, *OVERLAY, *settings, "--trainer.max_epochs", "3", "--ckpt_path", "last"])
    wandb_environment.setenv("WANDB_MODE", "offline")
    first, resumed = read_wandb_runs(root)
    return Logged(directory, first, metrics, config, records, resumed)


@pytest.fixture(scope="module")
def settings_logged(tmp_path_factory: pytest.TempPathFactory, wandb_environment: pytest.MonkeyPatch) -> Logged:
    """A run of two epochs whose four replicates differ in two settings."""
    root = tmp_path_factory.mktemp("settings")
    differing = ["--replicates", "4", "--model.teacher_initialization.polarity", "[0.5, 1]"]
    differing += ["--model.student_initialization.std", "[0.1, 0.1, 0.2, 0.2]"]
    main([*TINY, *OVERLAY, *differing, "--trainer.default_root_dir", str(root)])
    directory = root / "tiny/version_0"
    [run] = read_wandb_runs(root)
    return Logged(directory, run, pd.read_csv(directory / "metrics.csv"), {}, set(), run)


def logged_table(run: WandbRun, key: str, epoch: int) -> pd.DataFrame:
    """A table of an epoch as wandb wrote it."""
    [row] = [row for row in run.rows(key) if row["epoch"] == epoch]
    content = json.loads(run.file(row[key]).read_text())
    return pd.DataFrame(content["data"], columns=content["columns"])


def test_settings_and_environment_are_in_the_config(logged: Logged) -> None:
    config = {key: value for key, value in logged.wandb.config.items() if key not in ("_wandb", "environment")}
    assert config == logged.config
    environment = logged.wandb.config["environment"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert environment["git_commit"] == commit.stdout.strip()
    assert environment["packages"]["torch"] == version("torch")
    assert environment["packages"]["wandb"] == version("wandb")


def test_a_run_is_filed_by_what_it_is(logged: Logged) -> None:
    run = logged.wandb.run
    assert (run.project, run.run_group, run.job_type, run.display_name) == ("tsl", "tiny", "train", "tiny/version_0")
    assert list(run.tags) == ["multiplier=2", "polarity=1", "loss=half_squared_error"]


def test_every_scalar_stands_against_epoch_and_step(logged: Logged) -> None:
    scalars = [column for column in logged.metrics if column not in ("epoch", "step")]
    assert {"train/loss", "val/loss", f"{LAYER}/rho_mean", f"{LAYER}/recovered_0.95", "alignment/layer1/cka"} <= {
        *scalars
    }
    for scalar in scalars:
        of_csv = logged.metrics[["epoch", "step", scalar]].dropna().to_numpy()
        rows = logged.wandb.rows(scalar)
        of_wandb = [(row["epoch"], row["trainer/global_step"], row[scalar]) for row in rows]
        np.testing.assert_allclose(of_wandb, of_csv, rtol=1e-6)
        assert logged.wandb.metrics[scalar.replace(".", r"\.")].step_metric == "trainer/global_step"


@pytest.mark.parametrize(
    ("scalar", "kept"),
    [
        ("train/loss", {"min", "last"}),
        ("val/loss", {"min", "last"}),
        (f"{LAYER}/rho_mean", {"max", "last"}),
        (f"{LAYER}/recovered_0.95", {"max", "last"}),
        (f"{LAYER}/rho_mean_null", {"last"}),
        ("alignment/layer1/cka", {"max", "last"}),
        ("alignment/layer1/distance", {"min", "last"}),
        ("val/loss_std", {"last"}),
    ],
)
def test_summaries_are_what_matters_of_each_scalar(logged: Logged, scalar: str, kept: set[str]) -> None:
    values = logged.metrics[scalar].dropna()
    expected = {"min": values.min(), "max": values.max(), "last": values.iloc[-1]}
    assert logged.wandb.summary[scalar] == pytest.approx({name: expected[name] for name in kept}, rel=1e-6)


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("name", ["teacher", "student"])
def test_tables_of_nodes_are_the_records(logged: Logged, name: str, epoch: int) -> None:
    records = read_table(logged.directory, f"{name}_nodes").query("epoch == @epoch").reset_index(drop=True)
    table = logged_table(logged.wandb, f"nodes/{name}", epoch)
    pd.testing.assert_frame_equal(table, records, check_dtype=False)


def test_pictures_of_every_second_epoch(logged: Logged) -> None:
    for name in ("l_shape", "heat_map", "trajectories"):
        rows = logged.wandb.rows(f"pictures/{name}")
        assert [row["epoch"] for row in rows] == [0, 2]
        assert [row["trainer/global_step"] for row in rows] == [0, 16]
        for row in rows:
            picture = row[f"pictures/{name}"]
            with Image.open(logged.wandb.file(picture)) as image:
                assert image.size == (picture["width"], picture["height"])
                assert len(np.unique(np.asarray(image))) > 10  # not blank
            assert picture["caption"].startswith(f"epoch {row['epoch']}: ")


def test_custom_charts_come_with_their_tables(logged: Logged) -> None:
    charts = logged.wandb.config["_wandb"]["visualize"]
    for key, name in {"charts/l_shape": "tsl-l-shape", "charts/success_rate": "tsl-success-rate"}.items():
        assert charts[key]["panel_config"]["panelDefId"] == name
        assert {*charts[key]["panel_config"]["fieldSettings"]} == {*logged_table(logged.wandb, f"{key}_table", 2)}
    points = logged_table(logged.wandb, "charts/l_shape_table", 2)
    nodes = read_table(logged.directory, "student_nodes").query("epoch == 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(points, nodes.assign(setting="")[list(points)], check_dtype=False)
    rates = logged_table(logged.wandb, "charts/success_rate_table", 2)
    teacher = read_table(logged.directory, "teacher_nodes").query("epoch == 2")
    assert len(rates) == 4 * 6  # nodes, thresholds
    for _, row in rates.iterrows():
        correlation = teacher[teacher["node"] == row["node"]]["best_correlation"]
        assert row["success_rate"] == (correlation > row["threshold"]).mean()


def test_each_setting_is_a_series_with_a_summary_of_its_own(settings_logged: Logged) -> None:
    names = ["train/loss", "train/learning_rate", "val/loss"]
    names += [f"{LAYER}/{name}" for name in ("rho_mean", "rho_mean_null", "recovered_0.95")]
    labels = [f"polarity={polarity},std={std}" for std in ("0.1", "0.2") for polarity in ("0.5", "1")]
    scalars = [f"{name}/{label}" for name in names for label in labels]
    of_wandb = {name for row in settings_logged.wandb.history for name in row if name.startswith(tuple(names))}
    assert of_wandb == {*scalars} == {*settings_logged.metrics} - {"epoch", "step"}
    for scalar in scalars:
        values = settings_logged.metrics[scalar].dropna()
        rows = settings_logged.wandb.rows(scalar)
        np.testing.assert_allclose([row[scalar] for row in rows], values, rtol=1e-6)
        kept = {"min": values.min(), "last": values.iloc[-1]} if "loss" in scalar else {"last": values.iloc[-1]}
        kept |= {"max": values.max()} if scalar.startswith((f"{LAYER}/rho_mean/", f"{LAYER}/recovered")) else {}
        assert settings_logged.wandb.summary[scalar] == pytest.approx(kept, rel=1e-6)
        assert settings_logged.wandb.metrics[scalar.replace(".", r"\.")].step_metric == "trainer/global_step"


def test_tables_and_charts_say_the_setting_and_success_is_counted_for_each(settings_logged: Logged) -> None:
    labels = {0: "polarity=0.5,std=0.1", 1: "polarity=1,std=0.1", 2: "polarity=0.5,std=0.2", 3: "polarity=1,std=0.2"}
    for key in ("nodes/teacher", "nodes/student", "charts/l_shape_table"):
        rows = logged_table(settings_logged.wandb, key, 2)
        assert list(rows["setting"]) == list(rows["replicate"].map(labels))
    rates = logged_table(settings_logged.wandb, "charts/success_rate_table", 2).query("threshold == 0.5")
    teacher = read_table(settings_logged.directory, "teacher_nodes").query("epoch == 2")
    expected = teacher.assign(setting=teacher["replicate"].map(labels)).set_index(["setting", "node"])["recovered_0.50"]
    assert len(rates) == len(expected) == 16
    for _, row in rates.iterrows():
        assert row["success_rate"] == expected[row["setting"], row["node"]]


def test_captions_say_which_setting_the_first_replicate_has(settings_logged: Logged) -> None:
    captions = {
        name: settings_logged.wandb.rows(f"pictures/{name}")[-1][f"pictures/{name}"]["caption"]
        for name in ("l_shape", "heat_map", "trajectories")
    }
    assert captions["l_shape"] == "epoch 2: student nodes of 4 settings"
    for name in ("heat_map", "trajectories"):
        assert captions[name].startswith("epoch 2: replicate 0 (polarity=0.5,std=0.1), ")


def test_checkpoint_and_records_are_artifacts(logged: Logged) -> None:
    left = {artifact.name: artifact for artifact in logged.wandb.artifacts if artifact.type in ("model", "records")}
    run_id = logged.wandb.run.run_id
    assert {*left} == {f"tiny-{run_id}-checkpoint", f"tiny-{run_id}-records", f"model-{run_id}"}
    checkpoint = {entry.path: entry for entry in left[f"tiny-{run_id}-checkpoint"].manifest.contents}
    assert {*checkpoint} == {"config.yaml", "checkpoints/last.ckpt"}
    assert torch.load(checkpoint["checkpoints/last.ckpt"].local_path, weights_only=True)["epoch"] == 1
    records = {entry.path for entry in left[f"tiny-{run_id}-records"].manifest.contents}
    assert records == logged.artifact_files | {"config.yaml"}


def test_a_resumed_run_goes_on_in_the_same_wandb_run(logged: Logged) -> None:
    assert logged.resumed.run.run_id == logged.wandb.run.run_id
    assert [row["epoch"] for row in logged.resumed.rows("val/loss")] == [3]
    assert [row["trainer/global_step"] for row in logged.resumed.rows("val/loss")] == [24]
    assert [row["epoch"] for row in logged.resumed.rows("nodes/teacher")] == [3]  # not due before 4, but the end
    assert (
        logged.wandb.run.run_id not in (logged.directory / "config.yaml").read_text()
    )  # which repeats it as a new run


def test_diverging_raises_an_alert_and_the_run_failed(
    tmp_path: Path, wandb_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--trainer.default_root_dir", str(tmp_path)]
    with pytest.raises(SystemExit):
        main([*TINY, *OVERLAY, *root, "--model.init_args.optimizer.init_args.lr", "1e9", "--records.epochs", "[9]"])
    [run] = read_wandb_runs(tmp_path)
    [alert] = run.alerts
    assert (alert.title, alert.level) == ("training diverged", "ERROR")
    assert "not finite in epoch 1, all 2 replicates" in alert.text
    assert run.exit_code == 1
    assert "not finite in epoch 1" in capsys.readouterr().err


def test_without_a_login_it_is_said_once_and_the_run_is_logged_offline(
    tmp_path: Path,
    wandb_environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logged_out: None,
) -> None:
    pairs = ["--records.pairs", "false", "--records.epochs", "[2]"]
    main([*TINY, *OVERLAY, *pairs, "--trainer.default_root_dir", str(tmp_path)])
    assert capsys.readouterr().err.count("warning: W&B cannot be reached") == 1
    [run] = read_wandb_runs(tmp_path)
    assert [row["epoch"] for row in run.rows("val/loss")] == [0, 1, 2]
    assert not run.rows("pictures/trajectories")
    assert [row["epoch"] for row in run.rows("pictures/l_shape")] == [2]


def test_the_overlay_keeps_an_experiments_callbacks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--config", str(ROOT / "configs/certificate.yaml"), *OVERLAY, "--print_config"])
    callbacks = yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]
    assert [callback["class_path"] for callback in callbacks] == [
        "tsl.callbacks.CertificateRecords",
        "tsl.wandb.WandbBoard",
    ]


def test_without_wandb_it_is_said_once_and_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it raises ImportError
    main([*TINY, *OVERLAY, "--trainer.default_root_dir", str(tmp_path)])
    assert capsys.readouterr().err.count("wandb is not installed") == 1
    assert (tmp_path / "tiny/version_0/checkpoints/last.ckpt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("every_n_epochs", "expected"), [(None, [0, 1, 2, 4, 8, 16, 32]), (10, [0, 10, 20, 30]), (1, [*range(40)])]
)
def test_pictures_are_due_whenever_the_epochs_have_doubled(every_n_epochs: int | None, expected: list[int]) -> None:
    board = WandbBoard(every_n_epochs)
    for epoch in range(40):
        if board._is_due(epoch):
            board.shown = epoch
            assert epoch == expected.pop(0)
    assert expected == []


def test_what_the_user_says_of_a_run_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    logger = WandbRunLogger(job_type="test", tags=["a"], name="b", save_dir="c")
    logger.file_under("runs", "E2", "version_0", {})
    kept = {key: logger._wandb_init.get(key) for key in ("group", "job_type", "tags", "name", "dir")}
    assert kept == {"group": None, "job_type": "test", "tags": ["a"], "name": "b", "dir": "c"}  # wandb reads the group


def test_every_polarity_of_a_sweep_in_one_run_is_a_tag() -> None:
    logger = WandbRunLogger()
    polarity = {"class_path": "tsl.networks.SeparableInitialization", "init_args": {"polarity": [0, 0.5, 0]}}
    loss = {"class_path": "tsl.modules.KL"}
    student = {"class_path": "tsl.networks.LikeTeacher", "init_args": {"multiplier": 2.0}}
    model = {"init_args": {"teacher_initialization": polarity, "student": student, "loss": loss}}
    logger.file_under("runs", "E2", "version_0", {"model": model})
    assert logger._wandb_init["tags"] == ["multiplier=2", "polarity=0", "polarity=0.5", "loss=KL"]
