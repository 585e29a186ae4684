"""Processes that are killed, stopped and started twice. CI does each once or twice, `make test-faults` many times."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.processes import EPOCHS, assert_same_run, ended, start, wait_for
from tests.fitting import ROOT, TINY
from tsl.fit import main
from tsl.runs import Run
from tsl.runs.records import recorded_epochs
from tsl.runs.status import read_status

MANY = pytest.mark.faults
ELSEWHERE = Path("/dev/shm")
"""A temporary directory on another file system, as usual on clusters."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing has disturbed."""
    root = tmp_path_factory.mktemp("whole")
    main([*TINY, *EPOCHS, "--trainer.default_root_dir", str(root), "--version", "run"])
    return root / "tiny/run"


def is_training(run: Path) -> bool:
    return (run / "checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=MANY)])
def test_a_run_that_is_killed_at_random_moments_is_the_same(kills: int, whole: Path, tmp_path: Path) -> None:
    """Each process is killed within a second after it has begun to write, and the next one goes on."""
    run, rng = tmp_path / "tiny/run", random.Random(0)
    temporary = ELSEWHERE if ELSEWHERE.is_dir() else None
    epochs = ["--trainer.max_epochs", str(40 if kills < 10 else 4000)]
    for kill in range(kills):
        process = start(tmp_path, "run", *epochs, *(["--ckpt_path", "last"] if kill else []), temporary=temporary)
        wait_for(lambda process=process: read_status(run).get("pid") == process.pid, process)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 1))
        os.killpg(process.pid, signal.SIGKILL)
        returned, errors = ended(process)
        assert returned in (-signal.SIGKILL, 0), errors
        assert Run(run).state in ("resumable", "complete")
    reached = str(max(40, recorded_epochs(run, "losses")[-1]))
    returned, errors = ended(start(tmp_path, "run", "--trainer.max_epochs", reached, "--ckpt_path", "last"))
    assert returned == 0, errors
    if reached != "40":
        main(
            [*TINY, "--trainer.max_epochs", reached, "--trainer.default_root_dir", str(tmp_path), "--version", "whole"]
        )
        whole = tmp_path / "tiny/whole"
    assert_same_run(whole, run)
    assert not list(run.rglob(".*"))


@pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(f"{call}:{when}", marks=MANY)
        for call in ("fsync", "rename", "unlink")
        for when in range(30, 230, 25)
    ],
)
def test_a_run_that_is_killed_at_a_call_to_the_file_system_is_the_same(event: str, whole: Path, tmp_path: Path) -> None:
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed")
    call, when = event.split(":")
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}"]
    inject += ["-e", f"inject={call}:signal=SIGKILL:when={when}"]
    command = [sys.executable, "-m", "tsl.fit", *TINY, *EPOCHS, "--trainer.default_root_dir", str(tmp_path)]
    subprocess.run([*inject, *command, "--version", "run"], cwd=ROOT, capture_output=True, check=False, timeout=300)
    run = tmp_path / "tiny/run"
    returned, errors = ended(start(tmp_path, "run", *(["--ckpt_path", "last"] if run.exists() else [])))
    assert returned == 0, errors
    assert_same_run(whole, run)


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
CI = [(signal.SIGTERM, "epoch"), (signal.SIGINT, "first evaluation")]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(number, moment, marks=[] if (number, moment) in CI else MANY)
        for number in SIGNALS
        for moment in ("first evaluation", "epoch", "late")
    ],
)
def test_a_signal_ends_a_run_that_can_go_on(number: signal.Signals, moment: str, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "tiny/run"
    process = start(tmp_path, "run")
    if moment == "first evaluation":
        wait_for(lambda: read_status(run).get("state") == "running", process)
    else:
        wait_for(lambda: is_training(run), process)
        time.sleep(0.5 if moment == "late" else 0)
    process.send_signal(number)
    returned, errors = ended(process)
    assert returned == 128 + number, errors
    assert read_status(run)["state"] == Run(run).state == "resumable"
    told = (
        rf"stopped by {number.name}; to go on: python -m (tsl\.fit --config .*/run/config\.yaml .*--ckpt_path last)\n"
    )
    (command,) = re.findall(told, errors)
    assert "Traceback" not in errors
    finished = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert_same_run(whole, run)


@pytest.mark.distributed
@pytest.mark.parametrize("target", ["rank 1", pytest.param("group", marks=MANY), pytest.param("rank 0", marks=MANY)])
def test_two_processes_end_on_a_signal(target: str, tmp_path: Path) -> None:
    run = tmp_path / "tiny/run"
    two = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.init_args.batch_size", "6"]
    process = start(tmp_path, "run", *two, "--trainer.max_epochs", "100000")
    wait_for(lambda: is_training(run), process)
    if target == "group":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid if target == "rank 0" else int(children[0]), signal.SIGTERM)
    returned, errors = ended(process, seconds=30)
    assert returned in (128 + signal.SIGTERM, -signal.SIGKILL), errors
    assert Run(run).state == "resumable"
    assert is_training(run)


@pytest.mark.parametrize("pairs", [1, pytest.param(12, marks=MANY)])
def test_of_two_that_start_at_the_same_time_one_runs(pairs: int, whole: Path, tmp_path: Path) -> None:
    for pair in range(pairs):
        root = tmp_path / str(pair)
        outcomes = [ended(process) for process in [start(root, "run"), start(root, "run")]]
        assert sorted(returned for returned, _ in outcomes) == [0, 2], outcomes
        (refused,) = (errors for returned, errors in outcomes if returned == 2)
        assert "is running, in process" in refused or "already holds a run" in refused
        assert "Traceback" not in refused
        assert_same_run(whole, root / "tiny/run")
