import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fitting import ROOT, TINY
from tests.made_up_runs import fake_run
from tsl.fit import main
from tsl.runs.status import StatusFile, read_status, run_state


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return fake_run(tmp_path / "runs/one", max_epochs=2)


def leave_a_checkpoint(run: Path) -> None:
    (run / "checkpoints").mkdir()
    (run / "checkpoints/last.ckpt").touch()


def test_running_until_it_ends(run: Path):
    status = StatusFile(run).begin("cpu")
    assert run_state(run, 100) == "running"
    assert run_state(run, 2) == "running"  # whatever the records say
    status.end("failed", "it went wrong")
    assert run_state(run, 2) == "failed"
    content = read_status(run)
    assert (content["error"], content["pid"], content["device"]) == ("it went wrong", os.getpid(), "cpu")
    assert content["started"] <= content["ended"]
    assert content["environment"]["packages"]["torch"]
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("state", ["complete", "resumable"])
def test_how_it_ended(run: Path, state: str):
    leave_a_checkpoint(run)
    StatusFile(run).begin("cpu").end(state)
    assert run_state(run, 100) == state


def test_a_process_that_was_killed_runs_no_more(run: Path):
    code = "import time; from tsl.runs.status import StatusFile as S; "
    code += f"f = S({str(run)!r}).begin('cpu'); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert run_state(run, 100) == "running"
        process.kill()
    assert read_status(run)["state"] == "running"
    assert run_state(run, 100) == "resumable"  # from the beginning
    leave_a_checkpoint(run)
    assert run_state(run, 100) == "resumable"
    assert run_state(run, 2) == "resumable"  # its last epoch was recorded, but it did not end


def test_older_runs_are_judged_by_records_and_checkpoints(run: Path):
    assert run_state(run, 2) == "complete"
    assert run_state(run, 3) == "failed"
    assert run_state(run, -1) == "failed"
    assert run_state(run, None) == "failed"
    leave_a_checkpoint(run)
    assert run_state(run, 3) == "resumable"


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_status_file_is_none(run: Path, text: str):
    (run / "status.json").write_text(text, encoding="latin-1")
    assert read_status(run) == {}
    assert run_state(run, 2) == "complete"


def test_fit_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = [*TINY, "--trainer.default_root_dir", str(tmp_path), "--version"]
    main([*arguments, "whole"])
    assert read_status(tmp_path / "tiny/whole")["state"] == "complete"

    def fail(*_: object) -> None:
        raise RuntimeError("no\nroom left")

    monkeypatch.setattr("tsl.modules.TeacherStudent.on_train_epoch_end", fail)
    with pytest.raises(RuntimeError):
        main([*arguments, "broken"])
    status = read_status(tmp_path / "tiny/broken")
    assert (status["state"], status["error"]) == ("failed", "RuntimeError: no room left")


@pytest.mark.slow
def test_a_run_told_to_stop_is_resumable(tmp_path: Path):
    settings = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "100000"]
    command = [sys.executable, "-m", "tsl.fit", *TINY, *settings]
    run = tmp_path / "tiny/version_0"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (run / "checkpoints/last.ckpt").exists())
        assert run_state(run, 100000) == "running"
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert json.loads((run / "status.json").read_text())["state"] == "resumable"
    assert run_state(run, 100000) == "resumable"


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not done():
        assert time.monotonic() < until
        time.sleep(0.1)
