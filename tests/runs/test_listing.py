import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from tests.made_up_runs import fake_run
from tests.two_settings import LABELS, TwoSettings
from tsl.runs.listing import COLUMNS, list_runs, main
from tsl.runs.records import read_table
from tsl.runs.status import StatusFile

OUTCOME = ("val_mse", "rho_mean", "recovered")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_each_run_with_its_outcome(root: Path):
    path = fake_run(root / "E1/first", layers=2)
    (row,) = list_runs(root)
    losses, layers = (read_table(path, table).query("epoch == 6") for table in ("losses", "layers"))
    means = layers.groupby("layer")[["rho_mean", "recovered_fraction_0.95"]].mean()
    assert (row["run"], row["state"], row["epoch"]) == ("E1/first", "complete", "6/6")
    assert row["val_mse"] == f"{losses['val_mse'].mean():.3g}"
    assert row["rho_mean"].split() == [f"{value:.3f}" for value in means["rho_mean"]]
    assert row["recovered"].split() == [f"{value:.0%}" for value in means["recovered_fraction_0.95"]]
    assert row["note"] == ""


def test_settings_that_differ_among_the_runs_of_an_experiment(root: Path):
    fake_run(root / "E1/a", multiplier=2, max_epochs=1, widths=[1, 2])
    fake_run(root / "E1/b", multiplier=5, max_epochs=1, widths=[1, 2])
    fake_run(root / "E2/c", multiplier=10, max_epochs=1, widths=[3])
    assert [row["settings"] for row in list_runs(root)] == ["multiplier=2", "multiplier=5", ""]


def test_each_setting_inside_a_run_has_the_row_of_its_run_alone(two_settings: TwoSettings) -> None:
    rows = list_runs(two_settings.together.parent)
    alone = list_runs(two_settings.alone[0].parent)
    assert [row["settings"] for row in rows] == [" ".join(reversed(label.split(","))) for label in LABELS]
    for row, of_run in zip(rows, alone, strict=True):
        assert {name: row[name] for name in OUTCOME} == {name: of_run[name] for name in OUTCOME}
        assert (row["run"], row["state"], row["epoch"]) == ("together", "complete", "2/2")


def test_runs_of_one_setting_beside_a_run_of_several(root: Path) -> None:
    fake_run(root / "E2/list", polarity=[0.5, 1.0], replicates=4, max_epochs=1)
    fake_run(root / "E2/one", polarity=2.0, replicates=4, max_epochs=1)
    rows = [(row["run"], row["settings"]) for row in list_runs(root)]
    assert rows == [("E2/list", "polarity=0.5"), ("E2/list", "polarity=1"), ("E2/one", "polarity=2")]


def test_states_and_why(root: Path):
    running, failed, killed, older, empty = (fake_run(root / f"E/{name}", epochs=[0, 2]) for name in "abcde")
    status = StatusFile(running).begin("cpu")
    StatusFile(failed).begin("cpu").end("failed", "RuntimeError: no room left")
    StatusFile(killed).begin("cpu").end("resumable")
    for run in (killed, older):
        (run / "checkpoints").mkdir()
        (run / "checkpoints/last.ckpt").touch()
    for file in (empty / "records").glob("*/*"):
        file.unlink()
    StatusFile(empty).begin("cpu").end("complete")
    rows = list_runs(root)
    assert [row["state"] for row in rows] == ["running", "failed", "resumable", "resumable", "complete"]
    assert [row["epoch"] for row in rows] == ["2/6"] * 4 + ["-/6"]
    older_run = "it has no status.json (an older version wrote it), so it may still be running"
    assert [row["note"] for row in rows] == ["", "RuntimeError: no room left", "", older_run, ""]
    status.end("complete")


def test_a_damaged_run_is_listed_with_what_is_wrong(root: Path):
    records, config = fake_run(root / "E/a"), fake_run(root / "E/b")
    (records / "records/losses/epoch_00006.parquet").write_bytes(b"PAR1")
    (config / "config.yaml").write_text("a: [")
    first, second = list_runs(root)
    assert first["note"].startswith(f"{records}/records/losses/epoch_00006.parquet is damaged")
    assert (first["state"], first["val_mse"]) == ("complete", "")
    assert f"{config}/config.yaml is damaged" in second["note"]
    assert second["val_mse"] != ""


def test_whatever_is_wrong_with_a_run_the_others_are_listed(root: Path) -> None:
    """What people do to run directories, one each."""
    good = fake_run(root / "E/good", epochs=[0, 1], max_epochs=1)
    for number, text in enumerate(("replicates: x", "[]", "trainer: 5", "replicates: 0", "seed_everything: true", "")):
        run = fake_run(root / f"E/config{number}", epochs=[0, 1], max_epochs=1)
        (run / "config.yaml").write_text(text)
    settings = fake_run(root / "E/table", epochs=[0, 1], max_epochs=1)
    (settings / "records/replicates").mkdir()
    (settings / "records/replicates/epoch_00000.parquet").write_bytes(b"PAR1")
    copied = fake_run(root / "E/copied", epochs=[0, 1], max_epochs=1)
    losses = copied / "records/losses/epoch_00001.parquet"
    (losses.with_name("epoch_00001 (copy).parquet")).write_bytes(losses.read_bytes())
    (fake_run(root / "E/link", epochs=[0, 1], max_epochs=1) / "gone").symlink_to(root / "nowhere")
    (root / "E/empty/records").mkdir(parents=True)
    rows = {row["run"]: row for row in list_runs(root)}
    assert len(rows) == 11
    assert rows["E/good"]["note"] == ""
    assert rows["E/copied"]["val_mse"] == rows["E/link"]["val_mse"] == rows["E/table"]["val_mse"] != ""
    assert "epoch_00000.parquet is damaged" in rows["E/table"]["note"]
    assert "replicates in config.yaml is 'x'; expected a number" in rows["E/config0"]["note"]
    assert rows["E/config2"]["epoch"] == "1"
    assert good.exists()


def test_tab_separated_where_it_is_no_terminal(root: Path):
    fake_run(root / "E 1/a", widths=[1, 2], max_epochs=1)
    fake_run(root / "E 1/b", multiplier=1, widths=[3], max_epochs=1)
    done = subprocess.run([sys.executable, "-m", "tsl.runs", str(root)], capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == list(COLUMNS)
    assert [len(line) for line in lines] == [len(COLUMNS)] * 3
    assert lines[1][:3] == ["E 1/a", "complete", "1/1"]
    assert done.stderr == ""


def test_a_table_in_a_terminal(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    run = fake_run(root / "E/a", widths=[1, 2])
    fake_run(root / "E/b", widths=[3])
    (run / "checkpoints").mkdir()
    (run / "checkpoints/last.ckpt").touch()
    StatusFile(run).begin("cpu").end("resumable")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("tsl.runs.listing.Console", lambda: Console(width=200))
    assert main([str(root)]) == 0
    printed = capsys.readouterr().out
    assert "multiplier" not in printed
    assert "widths=[1,2]" in printed
    command = f"python -m tsl.fit --config {run}/config.yaml --version a --ckpt_path last"
    assert f"to resume E/a: {command}\n" in printed


def test_what_rows_of_one_run_have_in_common_stands_once_in_a_terminal(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(root / "E/a", polarity=[0.5, 1.0], replicates=4)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("tsl.runs.listing.Console", lambda: Console(width=200))
    assert main([str(root)]) == 0
    printed = capsys.readouterr().out
    assert (printed.count("E/a"), printed.count("6/6"), printed.count("polarity=")) == (1, 1, 2)


def test_a_run_by_itself_and_files_of_wandb_beside_it(root: Path):
    run = fake_run(root / "E/a", max_epochs=1)
    fake_run(root / "wandb/run-1/files", max_epochs=1)
    assert [row["run"] for row in list_runs(root)] == ["E/a"]
    assert [row["run"] for row in list_runs(run)] == ["."]


def test_directories_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "absent")]) == 2
    assert "absent is not a directory: give the directory of runs (trainer.default_root_dir)" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert f"error: {tmp_path} holds no runs" in capsys.readouterr().err


def test_a_line_for_each_run_in_a_terminal_of_120_columns(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for multiplier in (1, 2, 10):
        fake_run(root / f"E2/multiplier={multiplier},polarity=1", multiplier=multiplier, loss="m" * 50)
    fake_run(root / "E2/another", multiplier=5, loss="n" * 50)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("tsl.runs.listing.Console", lambda: Console(width=120))
    assert main([str(root)]) == 0
    lines = [Text.from_ansi(line).plain for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5
    assert max(map(len, lines)) <= 120
    assert all("…" in line for line in lines[1:])  # the settings, whose beginnings are shown


def test_rows_are_chosen_and_sorted(root: Path, capsys: pytest.CaptureFixture[str]):
    for multiplier, epochs in ((10, [0, 1]), (2, range(7)), (1, [0])):
        fake_run(root / f"E/m{multiplier}", multiplier=multiplier, epochs=[*epochs])

    def names(*options: str) -> list[str]:
        assert main([str(root), *options]) == 0
        return [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]]

    assert names("--where", "complete") == ["E/m2"]
    assert names("--where", "multiplier=1", "E/m10") == ["E/m10"]
    assert names("--sort", "epoch") == ["E/m1", "E/m10", "E/m2"]  # 0, 1, 6
    assert names("--sort", "epoch", "--reverse") == ["E/m2", "E/m10", "E/m1"]
    by_loss = sorted((row for row in list_runs(root) if row["val_mse"]), key=lambda row: float(row["val_mse"]))
    assert names("--sort", "val_mse") == [row["run"] for row in by_loss]
    assert names("--where", "no such text") == []
