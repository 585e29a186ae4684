from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from tests.fitting import ROOT, TINY
from tsl.errors import InputError
from tsl.experiments import certify
from tsl.fit import main as fit
from tsl.modules.load_run import load_run
from tsl.runs import Run
from tsl.runs.records import read_table, write_table

CONFIG = ROOT / "configs/certificate.yaml"


def train(root: Path, *arguments: str) -> Path:
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", "--version", "run"]
    fit(["--config", str(CONFIG), "--trainer.default_root_dir", str(root), *quiet, *arguments])
    return root / "certificate" / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration with fewer replicates and epochs."""
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("runs"), "--replicates", "3", "--trainer.max_epochs", "4")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A run without CertificateRecords that is far from anything."""
    fit([*TINY, "--trainer.default_root_dir", str(tmp_path), "--version", "run"])
    return tmp_path / "tiny" / "run"


def test_the_shipped_configuration_certifies_every_node(run: Path) -> None:
    frame = read_table(run, "certificate")
    untrained, trained = frame[frame["epoch"] == 0], frame[frame["epoch"] == 4]
    assert untrained["vacuous"].all()
    assert (trained["condition"] & trained["conclusion"]).all()
    assert (trained["granted_epsilon"] < 0.1).all()


@pytest.mark.slow
def test_the_shipped_configuration_takes_the_gradient_below_1e9(tmp_path: Path) -> None:
    frame = read_table(train(tmp_path), "certificate")
    trained = frame[frame["epoch"] == frame["epoch"].max()]
    assert (trained["gradient_sup_norm"] < 1e-9).all()
    assert (trained["condition"] & trained["conclusion"]).all()


def test_the_script_repeats_the_callback(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "table.parquet"
    assert certify.main([str(run), "--out", str(out)]) == 0
    recorded = read_table(run, "certificate").query("epoch == 4").reset_index(drop=True)
    written = pd.read_parquet(out)
    pd.testing.assert_frame_equal(written[list(recorded)], recorded, rtol=1e-6)
    assert out.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    told = " ".join(capsys.readouterr().out.split())
    assert "The theorem at epoch 4, on the training inputs, median of 3 replicates" in told
    assert "6 of 6 teacher nodes: At K = 6, d = 5, c = 5 the theorem grants ε = " in told
    assert "condition and conclusion hold." in told


def test_records_of_the_same_constants_are_drawn_over_training(run: Path) -> None:
    loaded = load_run(run)
    assert set(certify.over_training(Run(run), certify.certify(loaded, 5.0, 1.0))["epoch"]) == {0, 1, 2, 3, 4}
    assert set(certify.over_training(Run(run), certify.certify(loaded, 50.0, 1.0))["epoch"]) == {4}


def test_a_run_far_from_the_condition_is_vacuous(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tiny / "certificate.csv"
    capsys.readouterr()
    assert certify.main([str(tiny), "--out", str(out), "--c", "4", "--bias-scale", "2"]) == 0
    frame = pd.read_csv(out)
    assert len(frame) == 2 * 4
    assert frame["vacuous"].all()
    needed = frame["alpha"] / (4 * 12**1.5 * 6**0.5)
    told = " ".join(capsys.readouterr().out.split())
    assert "8 of 8 teacher nodes: At K = 12, d = 6, c = 4 the theorem grants ε = " in told
    assert f"≥ 1: vacuous, because no sine exceeds 1. Its condition would need ‖g_1‖∞ < {needed.min():.2g} to " in told


def test_settings_that_differ_along_the_replicates_have_a_table_each(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Run(tiny).replicates.assign(**{"model.init_args.student_initialization.init_args.std": [0.1, 0.2]})
    write_table(tiny, "replicates", 0, rows)
    assert certify.main([str(tiny)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    titles = [f"The theorem at epoch 2, on the training inputs, std={std}" for std in (0.1, 0.2)]
    assert told.index(titles[0]) < told.index("teacher nodes: ") < told.index(titles[1])
    assert "median of" not in told


def test_each_outcome_has_its_sentence(run: Path) -> None:
    row = read_table(run, "certificate").query("epoch == 4").iloc[[0]]
    fails = row.assign(reached_epsilon=0.5, conclusion=False)
    unobserved = row.assign(observed=False, condition=False, vacuous=False, granted_epsilon=float("inf"))
    first, second, third = certify.sentences(pd.concat([row, fails, unobserved]), (2, 5, 4), 5.0)
    assert first.endswith("condition and conclusion hold.")
    assert "1 of 3 teacher nodes" in second
    assert "reached only ε = 0.5: the condition holds and the conclusion does not" in second
    assert "No student node observes the teacher node on the training inputs" in third


def test_a_loaded_run_has_the_trained_weights_and_the_inputs_of_training(run: Path) -> None:
    loaded = load_run(run)
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == set(loaded.module.state_dict())
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.module.state_dict().items())
    [inputs] = loaded.train_batches()
    assert inputs.shape == (3, 500, 5)
    assert inputs.dtype == torch.float64
    assert loaded.epoch == 4


def test_fresh_inputs_are_those_of_the_last_epoch(tmp_path: Path) -> None:
    where = ["--trainer.default_root_dir", str(tmp_path), "--version", "run"]
    fit([*TINY, *where, "--data.init_args.fresh_inputs", "true"])
    loaded = load_run(tmp_path / "tiny" / "run")
    [inputs] = loaded.train_batches()
    assert torch.equal(inputs, loaded.data.train_samples(1).inputs)
    assert not torch.equal(inputs, loaded.data.train_samples(0).inputs)


def test_replicates_of_different_sizes_are_not_evaluated_together(tmp_path: Path) -> None:
    where = ["--trainer.default_root_dir", str(tmp_path), "--version", "run"]
    fit([*TINY, *where, "--data.init_args.train_size", "[20, 60]", "--trainer.max_epochs", "1"])
    with pytest.raises(InputError, match=r"expected the same data.init_args.train_size in all replicates"):
        load_run(tmp_path / "tiny" / "run").train_batches()


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    return written.err


def edited(tiny: Path, change: Callable[[dict], object]) -> Path:
    config = yaml.safe_load((tiny / "config.yaml").read_text())
    change(config)
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))
    return tiny


def test_what_cannot_be_certified_is_said_in_one_line(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tiny / "checkpoints/last.ckpt"
    capsys.readouterr()

    def message(*arguments: str) -> str:
        assert certify.main([str(tiny), *arguments]) == 2
        return one_line(capsys)

    assert certify.main([str(tmp_path / "absent")]) == 2
    assert "absent is not a run directory" in one_line(capsys)
    assert "table.txt: expected a file that ends in .parquet, .csv" in message("--out", "table.txt")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:1000])
    assert f"{checkpoint} is damaged" in message()
    checkpoint.unlink()
    assert "has no checkpoints/last.ckpt, so its weights were not saved" in message()
    checkpoint.write_bytes(content)
    edited(tiny, lambda config: config["model"]["init_args"]["student"]["init_args"].update(multiplier=3))
    assert f"{checkpoint} does not fit config.yaml" in message()
    edited(tiny, lambda config: config["model"]["init_args"].update(nodes=3))
    assert "config.yaml does not define a valid model and data" in message()
    edited(tiny, lambda config: config.pop("model"))
    assert "config.yaml does not define a valid model and data: lacks 'model'" in message()


def test_deeper_networks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--trainer.default_root_dir", str(tmp_path), "--version", "run"]
    fit([*TINY, *where, "--model.init_args.teacher.init_args.widths", "[4, 3]"])
    capsys.readouterr()
    assert certify.main([str(tmp_path / "tiny" / "run")]) == 2
    assert "expected one hidden layer, but the teacher has widths [4, 3]" in one_line(capsys)
