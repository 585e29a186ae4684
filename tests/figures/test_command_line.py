import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure

import tsl.figures
from tsl.figures.__main__ import FIGURES, main
from tsl.runs.listing import runs_of

MakeRun = Callable[..., Path]


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    return make_run(pairs=True, max_epochs=5)


@pytest.mark.parametrize(
    ("name", "options", "suffix", "start"),
    [
        ("l-shape", ["--epochs", "2", "5"], ".pdf", b"%PDF"),
        ("best-correlation", [], ".pdf", b"%PDF"),
        ("success-rate", ["--early-epoch", "1"], ".png", b"\x89PNG"),
        ("convergence", [], ".SVG", b"<?xml"),
        ("trained-teacher", [], ".png", b"\x89PNG"),
        ("trajectories", ["--replicates", "0", "2"], ".png", b"\x89PNG"),
        ("heat-map", ["--epoch", "3", "--replicate", "1"], ".pdf", b"%PDF"),
        ("specialization-order", [], ".pdf", b"%PDF"),
        ("l-shape-animation", [], ".gif", b"GIF89a"),
    ],
)
def test_writes_the_figure_and_prints_its_path(
    run: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    suffix: str,
    start: bytes,
):
    out = tmp_path / "new" / "folder" / f"figure{suffix}"
    assert main([name, str(run), "--out", str(out), *options]) == 0
    assert out.read_bytes().startswith(start)
    assert list(out.parent.iterdir()) == [out]
    assert capfd.readouterr() == (f"{out}\n", "")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    return written.err


def test_an_unknown_suffix(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["convergence", str(run), "--out", str(tmp_path / "figure.jpg")]) == 2
    assert "figure.jpg: expected a file that ends in .pdf, .png, .svg" in one_line(capsys)


def test_no_run_directory(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "figure.png"
    assert main(["convergence", str(run), str(tmp_path / "absent"), "--out", str(out)]) == 2
    assert one_line(capsys).startswith(f"error: {tmp_path / 'absent'} is not a run directory")
    assert not out.exists()


def test_trajectories_without_pairs(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["trajectories", str(make_run("other")), "--out", str(tmp_path / "figure.png")]) == 2
    assert "`pairs: true` of tsl.callbacks.SpecializationRecords" in one_line(capsys)


def test_a_damaged_run_is_named_and_the_rest_drawn(
    make_run: MakeRun, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    damaged = make_run("damaged", multiplier=5) / "records" / "losses" / "epoch_00003.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    out = tmp_path / "figure.png"
    assert main(["convergence", str(damaged.parents[2]), "--out", str(out)]) == 2
    assert one_line(capsys).startswith(f"error: {damaged} is damaged")
    assert main(["convergence", str(damaged.parents[2]), str(run), "--out", str(out)]) == 0
    written = capsys.readouterr()
    assert written.err.startswith(f"warning: run left out: {damaged} is damaged")
    assert written.out == f"{out}\n"


def test_a_run_without_the_table_is_named_and_the_rest_drawn(
    make_run: MakeRun, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    without = make_run("without", multiplier=5)
    assert main(["heat-map", str(without), str(run), "--out", str(tmp_path / "figure.png")]) == 0
    assert capsys.readouterr().err.startswith(f"warning: run left out: {without} has no records of 'pairs'; run it")


def test_a_replicate_that_comes_twice_is_named_and_the_rest_drawn(
    make_run: MakeRun, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    again = make_run("again", seed=2, max_epochs=5)  # replicate 0 is the first run's replicate 2
    assert main(["convergence", str(run), str(again), "--out", str(tmp_path / "figure.png")]) == 0
    reason = f"{run} and {again} have the same replicate (2×, seed 2): leave one of them out"
    assert capsys.readouterr().err == f"warning: run left out: {reason}\n"


def test_a_moving_figure_has_formats_of_its_own(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["l-shape-animation", str(run), "--out", str(tmp_path / "figure.pdf")]) == 2
    assert "expected a file that ends in .gif, .mp4" in one_line(capsys)


def test_an_mp4_without_ffmpeg(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    assert main(["l-shape-animation", str(run), "--out", str(tmp_path / "figure.mp4")]) == 2
    assert "an MP4 needs ffmpeg, which is not installed; install it, or write a .gif" in one_line(capsys)
    assert list(tmp_path.glob("*.mp4")) == []


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_an_mp4_with_ffmpeg(run: Path, tmp_path: Path):
    out = tmp_path / "figure.mp4"
    assert main(["l-shape-animation", str(run), "--out", str(out)]) == 0
    assert out.read_bytes()[4:8] == b"ftyp"


def test_other_differences_are_warned_of(
    make_run: MakeRun, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = make_run("other", multiplier=1, max_epochs=5, learning_rate=0.1)
    assert main(["convergence", str(run), str(other), "--out", str(tmp_path / "figure.png")]) == 0
    warning = "warning: the runs also differ in model.init_args.learning_rate (None, 0.1)\n"
    assert capsys.readouterr().err == warning


def test_a_figure_is_written_whole_or_not_at_all(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "figures" / "figure.png"
    assert main(["convergence", str(run), "--out", str(out)]) == 0
    before = out.read_bytes()
    capsys.readouterr()

    def half_write(figure: Figure, path: Path, **_: object) -> None:
        path.write_bytes(before[:50])
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half_write)
    assert main(["convergence", str(run), "--out", str(out)]) == 2
    assert "figure.png cannot be written (disk full): make room" in one_line(capsys)
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_a_parent_that_is_a_file(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["convergence", str(run), "--out", str(run / "config.yaml" / "figure.png")]) == 2
    assert "config.yaml" in one_line(capsys)


def test_arguments_that_do_not_parse(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["convergence", "run"])
    assert "the following arguments are required: --out" in capsys.readouterr().err


def test_as_a_module_in_its_own_process(run: Path, tmp_path: Path):
    out = tmp_path / "figure.svg"
    command = [sys.executable, "-W", "error", "-m", "tsl.figures", "l-shape", str(run), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}\n", "")
    assert "<svg" in out.read_text()


def test_starts_without_torch_and_without_global_figures():
    check = (
        "import sys, tsl.figures.__main__;"
        "print([name for name in ('torch', 'pytorch_lightning', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_figure_is_on_the_command_line_and_in_the_package():
    of_runs = {name.replace("_", "-") for name in tsl.figures.__all__} - {"sample-complexity"}
    assert FIGURES.keys() == of_runs  # that one is drawn by its own command


def test_a_title_and_a_size(run: Path, tmp_path: Path):
    out = tmp_path / "figure.svg"
    size = ["--width", "4", "--height", "2.5", "--title", "A title"]
    assert main(["convergence", str(run), "--out", str(out), *size]) == 0
    written = out.read_text()
    assert 'width="288pt" height="180pt"' in written
    assert "A title" in written


@pytest.mark.parametrize("width", ["0", "nan", "wide"])
def test_a_width_that_is_none(run: Path, width: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["convergence", str(run), "--out", "figure.svg", "--width", width])
    assert f"expected a number of inches from 1 to 100, got '{width}'" in capsys.readouterr().err


def test_a_directory_of_runs_and_log_files_beside_them(
    make_run: MakeRun, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = make_run("other", multiplier=5, max_epochs=5)
    log, out = run.parent / "other.log", tmp_path / "figure.svg"
    log.write_text("a log")
    assert main(["convergence", str(run.parent), "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["convergence", *map(str, sorted(run.parent.iterdir())), "--out", str(out)]) == 0
    assert capsys.readouterr().err == f"warning: left out: {log} is a file, not a run\n"
    assert main(["convergence", str(log), "--out", str(out)]) == 2
    assert one_line(capsys).startswith(f"error: {log} is not a run directory")
    assert runs_of([run.parent]) == runs_of([other, run]) == ([other, run], [])
