"""Many runs by the local launcher, with programs of a few milliseconds in place of tsl.fit."""

import fcntl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tsl.experiments import train_all
from tsl.experiments.launchers.local import local
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.train_all import as_they_end
from tsl.experiments.training import ELSEWHERE, INTERRUPTED, is_at_work, log_path, train
from tsl.runs.records import COLUMNS, write_table

SETTINGS = {"trainer.max_epochs": 1, "replicates": 2, "data.init_args.steps_per_epoch": 5}
SETTINGS |= {"data.init_args.train_size": 10, "data.init_args.batch_size": 2}


class Recorded(PlannedRun):
    """A run whose program writes that it began, waits, and writes that it is done; or fails the first `fails` times."""

    fails = 0
    seconds = 0.0

    def command(self) -> list[str]:
        program = (
            "import pathlib, sys, time, os; run, fails, seconds = sys.argv[1:]; run = pathlib.Path(run);"
            "run.mkdir(exist_ok=True); begun = run.with_suffix('.begun'); begun.open('a').write('x');"
            "print(os.environ['OMP_NUM_THREADS'], 'threads'); time.sleep(float(seconds));"
            "len(begun.read_text()) <= int(fails) and sys.exit('[boom]');"
            "(run / 'done').touch()"
        )
        return [sys.executable, "-c", program, str(self.path), str(self.fails), str(self.seconds)]

    @property
    def complete(self) -> bool:
        return (self.path / "done").exists()

    @property
    def begun(self) -> int:
        file = self.path.with_suffix(".begun")
        return len(file.read_text()) if file.exists() else 0


def make_run(path: Path, fails: int = 0, seconds: float = 0.0, **settings: Any) -> Recorded:
    run = Recorded({}, path, [], SETTINGS | settings)
    object.__setattr__(run, "fails", fails)
    object.__setattr__(run, "seconds", seconds)
    return run


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_all, "POLL", 0.01)


def test_complete_runs_are_not_repeated_and_failed_ones_are_tried_again(tmp_path: Path) -> None:
    good, twice, never = (make_run(tmp_path / name, fails) for name, fails in (("a", 0), ("b", 1), ("c", 9)))
    (tmp_path / "there").mkdir()
    (tmp_path / "there/done").touch()
    there = make_run(tmp_path / "there")
    console = Console(record=True, width=200, markup=False)
    with local(2, retries=1) as start:
        assert train_all.train_all([good, twice, never, there], start, console) == [never]
    assert [run.begun for run in (good, twice, never, there)] == [1, 2, 2, 0]
    told = console.export_text()
    assert "runs: 4, of them complete: 1" in told
    assert f"error: {never.path} ended with status 1 after 0 of 1 epochs" in told
    assert "[boom]" in told
    assert "Repeat this run alone:" in told


def test_the_longest_is_started_first(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, **{"replicates": size}) for name, size in (("a", 1), ("b", 5), ("c", 3))]
    order: list[str] = []
    with local(1, 0) as start:

        def noting(asked: Any) -> Any:
            order.extend(run.path.name for run in asked)
            return start(asked)

        train_all.train_all(runs, noting, Console(quiet=True))
    assert order == ["b", "c", "a"]


@pytest.mark.parametrize(("count", "workers", "threads"), [(1, None, 4), (3, None, 1), (2, None, 2), (9, 2, 2)])
def test_runs_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, workers: int | None, threads: int
) -> None:
    monkeypatch.setattr("tsl.experiments.launchers.local.cores", lambda: 4)
    runs = [make_run(tmp_path / str(number)) for number in range(count)]
    with local(workers, 0) as start:
        train_all.train_all(runs, start, Console(quiet=True))
    assert all(f"{threads} threads" in log_path(run).read_text() for run in runs)


def test_two_starts_at_once_train_every_run_once(tmp_path: Path) -> None:
    """Each waits for what the other one trains, and both end with all runs complete."""
    failed: list[list[PlannedRun]] = []

    def sweep() -> None:
        runs = [make_run(tmp_path / str(number), seconds=0.05) for number in range(6)]
        with local(2, 0) as start:
            failed.append(train_all.train_all(runs, start, Console(quiet=True)))
        assert all(run.complete for run in runs)

    starts = [threading.Thread(target=sweep) for _ in range(2)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    assert failed == [[], []]
    assert [make_run(tmp_path / str(number)).begun for number in range(6)] == [1] * 6


def test_a_run_whose_process_dies_elsewhere_is_taken_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    with log_path(run).open("a") as log, local(1, 0) as start:
        fcntl.flock(log, fcntl.LOCK_EX)
        assert is_at_work(run)
        assert train(run, 1) == ELSEWHERE
        ended = as_they_end([run], start, lambda: None)
        threading.Timer(0.1, fcntl.flock, (log, fcntl.LOCK_UN)).start()
        assert list(ended) == [(run, None)]
    assert run.begun == 1


def test_at_its_end_the_launcher_stops_what_is_being_trained(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(number), seconds=60) for number in range(3)]
    began = time.monotonic()
    with local(1, 5) as start:
        jobs = start(runs)
        while not runs[0].begun:
            time.sleep(0.01)
    assert time.monotonic() - began < 30
    assert "was stopped" in str(jobs[0].result())
    assert jobs[1].cancelled()
    assert runs[0].begun == 1  # not tried again
    assert not runs[1].begun
    assert not is_at_work(runs[0])


def test_a_run_that_somebody_stops_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorded, "command", lambda _: ["sh", "-c", "kill $$"])
    run = make_run(tmp_path / "a")
    assert train(run, 1, retries=5) == INTERRUPTED
    assert log_path(run).read_text().count("$ sh") == 1


def test_a_run_is_one_process_whatever_slurm_says_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    run = make_run(tmp_path / "a")
    monkeypatch.setattr(Recorded, "command", lambda _: ["env"])
    assert "ended with status 0" in str(train(run, 1))
    told = log_path(run).read_text()
    assert "OMP_NUM_THREADS=1" in told
    assert "SLURM" not in told


@pytest.mark.skipif(sys.platform != "linux", reason="other systems let children outlive their parent")
def test_a_run_ends_with_the_process_that_trains_it() -> None:
    code = (
        "import threading, types; from tsl.experiments.training import _run_command;"
        "run = types.SimpleNamespace(command=lambda: ['sh', '-c', 'echo begun; exec sleep 600']);"
        "_run_command(run, 1, threading.Event(), 1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    parent.kill()
    parent.communicate(timeout=60)  # the run holds the other end of the pipe until it ends


def test_a_lost_job_is_a_failure_of_its_run(tmp_path: Path) -> None:
    class Lost:
        def done(self) -> bool:
            return True

        def result(self) -> str | None:
            raise RuntimeError("the worker\ndied")

    run = make_run(tmp_path / "a")
    assert list(as_they_end([run], lambda runs: [Lost()], lambda: None)) == [
        (run, f"{run.path} was lost with its worker: the worker died")
    ]


def test_what_is_left_of_begun_runs_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", **{"trainer.max_epochs": 4})
    run.path.mkdir()
    losses = pd.DataFrame(dict.fromkeys(COLUMNS["losses"], 0.1), index=range(2)).assign(epoch=1, replicate=range(2))
    write_table(run.path, "losses", 1, losses)
    console = Console(record=True)
    with local(1, 0) as start:
        train_all.train_all([run], start, console)
    assert "left to train: 30 of 40 student-steps" in console.export_text()
