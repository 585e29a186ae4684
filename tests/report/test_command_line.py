import json
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tsl.report.__main__ import main
from tsl.runs.status import StatusFile

MakeRun = Callable[..., Path]
Report = Callable[..., Path]


def notes(page: Path) -> list[str]:
    """What the page says at its top."""
    text = page.read_text().split('<ul id="notes">')[1].split("</ul>")[0]
    return [unescape(line) for line in text.removeprefix("<li>").removesuffix("</li>").split("</li><li>")]


def test_as_a_module_in_its_own_process(make_run: MakeRun, tmp_path: Path):
    out = tmp_path / "new/report.html"
    command = [sys.executable, "-W", "error", "-m", "tsl.report", str(make_run()), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}\n", "")
    assert list(out.parent.iterdir()) == [out]
    page = out.read_text()
    assert "<title>tsl report: runs (1 run)</title>" in page
    assert notes(out) == [""]


@pytest.mark.parametrize("suffix", [".pdf", ""])
def test_another_suffix(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str):
    assert main([str(make_run()), "--out", str(tmp_path / f"report{suffix}")]) == 2
    assert f"report{suffix}: expected a file that ends in .html" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(make_run: MakeRun, capsys: pytest.CaptureFixture[str]):
    run = make_run()
    assert main([str(run), "--out", str(run / "config.yaml" / "report.html")]) == 2
    assert capsys.readouterr().err.startswith("error: [Errno")


def test_nothing_to_draw(tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "report.html"
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "absent"), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'empty'} is not a run directory: it has neither config.yaml nor records/" in error
    assert f"{tmp_path / 'absent'} is not a run directory: it does not exist" in error
    assert main([str(make_run(epochs=[])), "--out", str(out)]) == 2
    assert "none of the runs has records: runs/run: it has no losses yet" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_what_is_no_run_is_left_out(
    make_run: MakeRun, report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = report(make_run(), tmp_path / "absent")
    said = f"left out: {tmp_path / 'absent'} is not a run directory: it does not exist"
    assert notes(page) == [said]
    assert capsys.readouterr().err == f"warning: {said}\n"


def test_a_damaged_file_costs_one_epoch(make_run: MakeRun, report: Report, capsys: pytest.CaptureFixture[str]):
    run = make_run()
    for table in ("losses", "student_nodes"):
        (run / f"records/{table}/epoch_00003.parquet").write_bytes(b"PAR1")
    first, second = notes(report(run))
    assert first.startswith(f"runs/run: 1 of 7 epochs of losses are left out: {run}/records/losses/epoch_00003.parquet")
    assert second.startswith("runs/run: 1 of 7 epochs of student_nodes are left out: ")
    assert first in capsys.readouterr().err


def test_records_of_an_older_version(make_run: MakeRun, report: Report):
    run = make_run(max_epochs=2)
    for file in (run / "records").glob("losses/*"):
        pd.read_parquet(file).drop(columns="gradient_sup_norm").to_parquet(file)
    for file in (run / "records").glob("student_nodes/*"):
        pd.read_parquet(file).drop(columns="strength").to_parquet(file)
    page = report(run)
    first, second = notes(page)
    assert first == "runs/run: records of losses are from an older version, without gradient_sup_norm"
    assert "epochs of student_nodes are left out" in second
    assert "lacks the columns ['strength']" in second
    assert "val mse</button>" in page.read_text()


@pytest.mark.parametrize("name", ["<!--<script>", "<!--", "a<b"])
def test_a_name_that_looks_like_html_leaves_the_page_whole(make_run: MakeRun, report: Report, name: str):
    page = report(make_run(name)).read_text()
    data = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert "<" not in data
    assert json.loads(data)["groups"][0]["name"] == f"runs/{name}"


def test_a_run_without_its_config(make_run: MakeRun, report: Report):
    run = make_run()
    (run / "config.yaml").unlink()
    page = report(run)
    assert notes(page) == [f"runs/run: {run} has no config.yaml, which every run of tsl.fit has; copy it there"]
    assert "it has no config.yaml, so it cannot be repeated" in page.read_text()


def test_unfinished_failed_and_running(make_run: MakeRun, report: Report):
    stopped, failed, running = (make_run(name, epochs=[0, 2]) for name in ("stopped", "failed", "running"))
    StatusFile(failed).begin("cpu").end("failed", "RuntimeError: no room left")
    status = StatusFile(running).begin("cpu")
    page = report(stopped, failed, running)
    status.end("complete")
    assert notes(page) == [
        "runs/stopped: failed, its records end at epoch 2 of 6",
        "runs/failed: failed, its records end at epoch 2 of 6",
        "runs/failed: RuntimeError: no room left",
        "runs/running: running, its records end at epoch 2 of 6",
    ]


def test_other_kinds_of_networks(make_run: MakeRun, report: Report):
    runs = [
        make_run(name, teacher={"class_path": "tsl.networks.MLP", "init_args": {"widths": widths}})
        for name, widths in (("a", [4]), ("b", [4]), ("c", [4, 5]))
    ]
    (note,) = notes(report(*runs))
    assert note == (
        "these runs cannot be compared in one figure, because their model.init_args.teacher.init_args.widths differs: "
        "[4] in runs/a, runs/b; [4, 5] in runs/c"
    )


def test_the_same_run_twice_is_one(make_run: MakeRun, report: Report):
    run = make_run()
    assert "(1 run)</title>" in report(run, run / ".." / "run").read_text()


def test_a_run_without_records_is_drawn_from_its_metrics(make_run: MakeRun, report: Report):
    run = make_run(epochs=[])
    rows = [
        "epoch,step,train/loss,val/accuracy,val/accuracy_std",
        "0,1,,0.1,0",
        "1,9,0.5,,",
        "1,9,,0.75,0",
        "6,9,0.25,0.875,0",
    ]
    (run / "metrics.csv").write_text("\n".join(rows))
    page = report(run).read_text()
    assert '<td class="number" data-value="0.875">0.875</td>' in page
    assert '<td class="number" data-value="0.25">0.250</td>' in page
    assert "accuracy std" not in page


def test_environment_and_commands_as_recorded_with_the_run(
    make_run: MakeRun, report: Report, monkeypatch: pytest.MonkeyPatch
):
    recorded, older = make_run("with it"), make_run("without")
    then = {"python": "3.9.1", "packages": {"torch": "1.2.3"}, "git_commit": "abc123", "git_changes": True}
    monkeypatch.setattr("tsl.runs.status.environment", lambda: then)
    StatusFile(recorded).begin("cuda:0").end("complete")
    config = yaml.safe_load((recorded / "config.yaml").read_text()) | {"ckpt_path": "last"}
    (recorded / "config.yaml").write_text(yaml.safe_dump(config))
    page = unescape(report(recorded, older).read_text())
    assert "git commit abc123, with uncommitted changes" in page
    assert "Python 3.9.1, torch 1.2.3" in page
    assert "trained on cuda:0" in page
    assert page.count("Not recorded with the run. This is the environment in which the report was written:") == 1
    again = f"python -m tsl.fit --config '{recorded}/config.yaml' --version 'with it-again' --ckpt_path null"
    assert f"git checkout abc123\n# tracked files had changes that are not in this commit\n{again}" in page
    assert f"python -m tsl.fit --config {older}/config.yaml --version without-again\n" in page.replace("</pre>", "\n")
