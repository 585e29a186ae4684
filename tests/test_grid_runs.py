"""Runs with a grid: each replicate is its single run; a seed means the same teacher, inputs and start in all."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.fitting import TINY, assert_same_records, weights
from tests.test_grid import INPUT_STD, LR, NAMES, POLARITY, SIZE, START_STD
from tsl.fit import main
from tsl.modules.load_run import load_run
from tsl.runs import Run
from tsl.runs.records import read_config, read_table

VALUES = {POLARITY: [0.5, 1.0], START_STD: [0.1, 0.3], INPUT_STD: [1.5, 0.5], LR: [0.05, 0.1], SIZE: [60, 40]}
TABLES = ("teacher_nodes", "student_nodes", "layers", "losses")


def fitted(root: Path, version: str, *arguments: str) -> Path:
    """A run of the tiny configuration with a rate for each replicate."""
    rates = ["--model.init_args.optimizer", "tsl.modules.SGD", "--trainer.max_epochs", "1"]
    main([*TINY, *rates, "--trainer.default_root_dir", str(root), "--version", version, *arguments])
    return root / "tiny" / version


def with_grid(root: Path, version: str, grid: dict[str, list[Any]], *arguments: str) -> Path:
    return fitted(root, version, "--replicates", "1", "--seeds", "2", "--grid", str(grid), *arguments)


def alone(root: Path, version: str, seed: int, settings: dict[str, Any], *arguments: str) -> Path:
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return fitted(root, version, "--replicates", "1", "--seed_everything", str(seed), *words, *arguments)


def assert_is_replicate(single: Path, run: Path, r: int, rtol: float = 0) -> None:
    """Whether a run of one replicate has the weights and records of replicate r of another."""
    for name, tensor in weights(single).items():
        torch.testing.assert_close(tensor[0], weights(run)[name][r], rtol=rtol, atol=rtol)
    for table in TABLES:
        rows = read_table(run, table)
        rows = rows[rows["replicate"] == r].assign(replicate=0).reset_index(drop=True)
        first, second = (
            frame.drop(columns="rho_mean_null", errors="ignore") for frame in (read_table(single, table), rows)
        )
        # the null level is chance, of all replicates from one stream
        pd.testing.assert_frame_equal(first, second, check_exact=not rtol, rtol=rtol or 1e-5)


@pytest.mark.parametrize("axis", NAMES)
def test_a_replicate_of_an_axis_is_its_single_run(tmp_path: Path, axis: str) -> None:
    run = with_grid(tmp_path, "grid", {axis: VALUES[axis]}, "--model.init_args.steps", "fused")
    single = alone(tmp_path, "alone", 1, {axis: VALUES[axis][1]}, "--model.init_args.steps", "fused")
    assert_is_replicate(single, run, 3)  # the second value, the second seed


@pytest.mark.parametrize(("steps", "rtol"), [("fused", 0), ("eager", 1e-11)])
def test_a_replicate_of_a_combination_is_its_single_run(tmp_path: Path, steps: str, rtol: float) -> None:
    run = with_grid(tmp_path, "grid", VALUES, "--model.init_args.steps", steps)
    replicates = read_table(run, "replicates").set_index("replicate")
    assert len(replicates) == 2**6
    for r in (13, 38):  # in binary, least digit the seed: 001101 and 100110
        settings = replicates.loc[r, NAMES].to_dict()
        settings[SIZE] = int(settings[SIZE])
        single = alone(
            tmp_path, f"alone{r}", int(replicates.loc[r, "seed"]), settings, "--model.init_args.steps", steps
        )
        assert_is_replicate(single, run, r, rtol)


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rates 0.05 and 0.1, seeds 3 and 4."""
    return with_grid(tmp_path_factory.mktemp("paired"), "grid", {"lr": [0.05, 0.1]}, "--seed_everything", "3")


def drawn(run: Path) -> list[Tensor]:
    """Teachers, training and evaluation inputs and student starts, `[R, ...]` each."""
    loaded = load_run(run)
    starts = loaded.module
    starts.make_networks()
    inputs = loaded.data.train_samples(0).inputs, loaded.data.val_samples().inputs
    return [*starts.teacher.parameters(), *inputs, *starts.student.parameters()]


def test_a_seed_means_the_same_teacher_inputs_and_start_in_all_settings(paired: Path) -> None:
    for tensor in drawn(paired):
        assert torch.equal(tensor[:2], tensor[2:])
        assert tensor.unique().numel() <= 1 or not torch.equal(tensor[0], tensor[1])
    assert not torch.equal(
        weights(paired)["student.layers.0.weight"][:2], weights(paired)["student.layers.0.weight"][2:]
    )


def test_seeds_that_are_not_paired_are_all_different(tmp_path: Path) -> None:
    run = with_grid(tmp_path, "grid", {"lr": [0.05, 0.1]}, "--paired_seeds", "false", "--seed_everything", "3")
    assert read_table(run, "replicates")["seed"].tolist() == [3, 4, 5, 6]
    teacher = load_run(run).module.teacher.layers[0].weight
    assert len(teacher.flatten(1).unique(dim=0)) == 4
    assert_is_replicate(alone(tmp_path, "alone", 6, {LR: 0.1}), run, 3)


def test_the_records_say_setting_and_seed_of_every_replicate(paired: Path) -> None:
    rows = read_table(paired, "replicates")
    assert rows.to_dict("list") == {"replicate": [0, 1, 2, 3], "seed": [3, 4, 3, 4], LR: [0.05, 0.05, 0.1, 0.1]}
    run = Run(paired)
    assert [(group.varying, group.seeds) for group in run.groups] == [
        ({LR: 0.05}, {0: 3, 1: 4}),
        ({LR: 0.1}, {2: 3, 3: 4}),
    ]
    assert [group.settings[LR] for group in run.groups] == [0.05, 0.1]
    assert not any(key.startswith(("grid", "seeds", "paired")) for key in run.settings)
    (paired / "records/replicates/epoch_00000.parquet").rename(paired / "aside.parquet")
    try:
        assert Run(paired).replicates["seed"].tolist() == [3, 4, 3, 4]
    finally:
        (paired / "aside.parquet").rename(paired / "records/replicates/epoch_00000.parquet")


def test_the_saved_config_repeats_the_run(paired: Path, tmp_path: Path) -> None:
    config = read_config(paired)
    assert (config["grid"], config["seeds"], config["replicates"]) == ({LR: [0.05, 0.1]}, 2, 4)
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.01, "as it was written"
    arguments = ["--config", str(paired / "config.yaml"), "--trainer.default_root_dir", str(tmp_path)]
    main([*arguments, "--version", "again"])
    assert_same_records(paired, tmp_path / "tiny/again")


def test_a_grid_resumes_as_if_it_had_not_stopped(paired: Path, tmp_path: Path) -> None:
    grid = {"model.optimizer.lr": [0.05, 0.1]}
    longer = with_grid(tmp_path, "longer", grid, "--seed_everything", "3", "--trainer.max_epochs", "2")
    again = ["--config", str(paired / "config.yaml"), "--trainer.max_epochs", "2"]
    main([*again, "--trainer.default_root_dir", str(tmp_path), "--version", "resumed", "--trainer.max_epochs", "1"])
    resumed = tmp_path / "tiny/resumed"
    main(["--config", str(resumed / "config.yaml"), "--ckpt_path", "last", "--trainer.max_epochs", "2"])
    assert_same_records(longer, resumed)
    assert all(torch.equal(tensor, weights(longer)[name]) for name, tensor in weights(resumed).items())


def test_a_run_with_another_grid_is_not_resumed(paired: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["--config", str(paired / "config.yaml"), "--ckpt_path", "last", "--grid", "{lr: [0.05, 0.2]}"]
    with pytest.raises(SystemExit):
        main(again)
    assert f"grid.{LR}: [0.05, 0.1] in the run, [0.05, 0.2] now" in capsys.readouterr().err


def test_seeds_alone_are_replicates(tmp_path: Path) -> None:
    run = fitted(tmp_path, "seeds", "--replicates", "1", "--seeds", "2")
    assert read_table(run, "replicates")["seed"].tolist() == [0, 1]
    assert_same_records(run, fitted(tmp_path, "replicates", "--replicates", "2"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "{polarity: [0.5, x]}"], [POLARITY.rpartition(".")[2], "x"]),
        (["--grid", "{polarity: [0.5, -1]}"], ["polarity", "-1"]),
        (["--grid", "{polarity: 0.5}"], ["grid"]),
        (["--grid", "{polarity: []}"], ["grid.polarity has no values"]),
        (["--grid", "{std: [1, 2]}"], ["grid.std may be", "in full"]),
        (["--grid", "{lr: [0.1, 0.2]}"], ["tsl.modules.SGD", "tsl sweep"]),
        (["--grid", "{polarity: [0, 1]}", "--seeds", "0"], ["seeds", "v>0"]),
        (["--grid", "{polarity: [0, 1]}", "--seeds", "1000000"], ["replicates = 2000000: expected at most"]),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--replicates", "1", "--trainer.default_root_dir", str(tmp_path), *arguments])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "Traceback" not in message
    assert all(word in message for word in words), message
