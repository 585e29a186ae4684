import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tsl.experiments import prune_student
from tsl.fit import main as fit
from tsl.modules.load_run import load_run
from tsl.networks import MLP
from tsl.runs.records import read_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 replicates of 8 student nodes."""
    root = tmp_path_factory.mktemp("runs")
    configs = ("configs/two_layer.yaml", "tests/tiny.yaml")
    fit(
        [
            *(word for path in configs for word in ("--config", str(ROOT / path))),
            "--trainer.default_root_dir",
            str(root),
        ]
    )
    return root / "tiny/version_0"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run for one test."""
    return Path(shutil.copytree(trained, tmp_path / "tiny/version_0"))


def read_student(directory: Path) -> MLP:
    """The pruned student, from nothing but its two files."""
    config = yaml.safe_load((directory / "config.yaml").read_text())
    settings = config["model"]["init_args"]["teacher"]["init_args"]
    student = MLP(
        config["replicates"], **(settings | {"widths": config["model"]["init_args"]["student"]["init_args"]["widths"]})
    )
    student.double().load_state_dict(torch.load(directory / "student.pt", weights_only=True))
    return student


@pytest.mark.slow
def test_a_pruned_student_keeps_the_budget_and_trains_on(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epoch 0 of the run that goes on has the loss of the pruned student, and training improves on it."""
    monkeypatch.setenv("COLUMNS", "150")
    assert prune_student.main([str(run), "--max-loss-increase", "0.5"]) == 0
    told = capsys.readouterr().out
    for heading in ("layer", "nodes before", "nodes after", "loss before", "loss after"):
        assert heading in told
    pruned = run / "pruned"
    assert {path.name for path in pruned.iterdir()} == {"config.yaml", "student.pt"}
    student = read_student(pruned)
    assert 1 <= student.widths[0] < 8

    trainer = ["--trainer.default_root_dir", str(run.parents[1]), "--trainer.max_epochs", "3"]
    command = [sys.executable, "-m", "tsl.fit", "--config", str(pruned / "config.yaml"), *trainer]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr
    resumed = run.parents[1] / "tiny_pruned/version_0"
    before = read_table(run, "losses").query("epoch == 2")["val_loss"].to_numpy()
    after = read_table(resumed, "losses")
    start = after.query("epoch == 0")["val_loss"].to_numpy()
    assert (start <= before * 1.5).all()
    assert (after.query("epoch == 3")["val_loss"].to_numpy() < start).all()
    for loss in (before, start):  # what the script told is what the runs recorded
        assert f"{loss.mean():.4g}" in told
    loaded = load_run(resumed).module
    assert loaded.student.widths == student.widths
    assert read_table(resumed, "student_nodes")["node"].max() == student.widths[0]


def test_training_goes_on_from_just_these_weights(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained at a learning rate of 0, the student is that of student.pt bit for bit; unpruned, that of the run."""
    out = tmp_path / "smaller"
    assert prune_student.main([str(run), "--threshold", "0.9", "--out", str(out)]) == 0
    assert not (run / "pruned").exists()
    still = ("--trainer.max_epochs", "1", "--model.init_args.optimizer.init_args.lr", "0")
    fit(["--config", str(out / "config.yaml"), "--trainer.default_root_dir", str(tmp_path), *still])
    pruned, resumed = read_student(out), load_run(tmp_path / "tiny_pruned/version_0").module.student
    assert pruned.widths[0] < 8
    assert all(torch.equal(a, b) for a, b in zip(pruned.parameters(), resumed.parameters(), strict=True))

    assert prune_student.main([str(run), "--threshold", "-1", "--out", str(out)]) == 0
    assert "No node could be removed" in capsys.readouterr().out
    whole, student = read_student(out), load_run(run).module.student
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), student.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # within torch.export
def test_what_is_written_exports(run: Path) -> None:
    assert prune_student.main([str(run), "--max-loss-increase", "0.5"]) == 0
    student = read_student(run / "pruned")
    example = torch.randn(2, 7, 6, dtype=torch.float64)
    exported = torch.export.export(student, (example,)).module()
    torch.testing.assert_close(exported(example), student(example), rtol=1e-12, atol=1e-12)


def test_mistakes_are_one_line_and_status_2(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert prune_student.main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        return captured.err

    assert "it does not exist" in told(str(run / "gone"))
    assert "expected a correlation, from -1 to 1" in told(str(run), "--threshold", "90")
    assert not (run / "pruned").exists()
    (run / "file").touch()
    assert "file" in told(str(run), "--out", str(run / "file"))
    (run / "checkpoints/last.ckpt").write_bytes(b"nothing")
    assert "last.ckpt is damaged" in told(str(run))
    (run / "checkpoints/last.ckpt").unlink()
    assert "has no checkpoints/last.ckpt" in told(str(run))
    with pytest.raises(SystemExit) as stop:
        prune_student.main([str(run), "--max-loss-increase", "-1"])
    assert stop.value.code == 2


def test_a_config_that_does_not_fit_its_student_is_one_message(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert prune_student.main([str(run), "--max-loss-increase", "0.5"]) == 0
    capsys.readouterr()
    for arguments, message in (
        (
            ["--model.init_args.student_widths", "[3, 3]"],
            "student.init_args.widths = [3, 3] has 2 hidden layers, but the teacher has 1",
        ),
        (["--replicates", "1"], "student.pt holds another network; set replicates and widths to those of the file"),
    ):
        with pytest.raises(SystemExit) as stop:
            fit(["--config", str(run / "pruned/config.yaml"), "--trainer.default_root_dir", str(tmp_path), *arguments])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
