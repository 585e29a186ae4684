"""What the launchers say when they cannot start, and what reaches sbatch; without Ray and SLURM."""

import argparse
import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.tiny_sweep import tiny_runs
from tsl.errors import InputError
from tsl.experiments.launchers import add_launcher_arguments, chosen_launcher
from tsl.experiments.launchers.on_slurm import KILLED_WITHIN, SlurmTraining
from tsl.experiments.training import INTERRUPTED


def asked(root: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_launcher_arguments(parser)
    parser.set_defaults(root=root)
    return parser.parse_args(words)


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs by the names of SLURM's; `sbatch` copies what it is given to this file, and refuses partition=none."""
    pytest.importorskip("submitit")
    folder, file = tmp_path / "bin", tmp_path / "submitted"
    folder.mkdir()
    sbatch = f'grep -q partition=none "$1" && echo invalid partition >&2 && exit 1\ncp "$1" {shlex.quote(str(file))}\n'
    for name, program in {"sbatch": f"{sbatch}echo Submitted batch job 7", "srun": "", "squeue": "echo 7_2"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{program}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return file


@pytest.mark.parametrize(("launcher", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"--launcher {launcher}: .* is not installed: pip install 'teacher-student-lightning\[{launcher}\]'"
    with pytest.raises(InputError, match=message), chosen_launcher(asked(tmp_path, "--launcher", launcher)):
        pass


def test_without_sbatch_there_is_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="expected the program sbatch, but this machine does not have it"):
        chosen_launcher(asked(tmp_path, "--launcher", "slurm")).__enter__()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("gpu", "expected OPTION=VALUE, such as partition=gpu"),
        ("=gpu", "expected OPTION=VALUE"),
        ("partition=", "expected OPTION=VALUE"),
        ("time=1:00:00", "expected a whole number of minutes"),
        ("cpus-per-task=0", "expected a whole number of CPUs"),
    ],
)
def test_an_option_of_slurm_that_cannot_be_read(tmp_path: Path, submitted: Path, option: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--slurm {option}: {message}"):
        chosen_launcher(asked(tmp_path, "--launcher", "slurm", "--slurm", option)).__enter__()


def test_options_of_slurm_without_slurm(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--slurm time=9: has no effect without --launcher slurm"):
        chosen_launcher(asked(tmp_path, "--slurm", "time=9"))


def test_options_reach_sbatch(
    tmp_path: Path, submitted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that submitit knows, those that it does not, in SLURM's spelling or submitit's."""
    monkeypatch.setattr("tsl.experiments.launchers.on_slurm.LOOK", 0)
    options = ["partition=gpu", "time=90", "cpus-per-task=4", "reservation=mine", "mem_per_cpu=2G"]
    with chosen_launcher(asked(tmp_path, "--launcher", "slurm", "--workers", "2", "--slurm", *options)) as start:
        jobs = start(tiny_runs(tmp_path))
        assert [job.done() for job in jobs] == [True, True, False]  # as squeue says
        assert "SLURM ended job 7_0, or it was cancelled" in str(jobs[0].result())
    script = submitted.read_text()
    for line in ("partition=gpu", "time=90", "cpus-per-task=4", "reservation=mine", "mem-per-cpu=2G", "array=0-2%2"):
        assert f"#SBATCH --{line}\n" in script
    assert "--cpus-per-task 4 " in script.partition("\nsrun ")[2]
    assert "scancel 7\n" in capsys.readouterr().err


def test_what_sbatch_refuses_is_told(tmp_path: Path, submitted: Path) -> None:
    with (
        pytest.raises(InputError, match="--slurm partition=none: sbatch refuses the jobs: invalid partition"),
        chosen_launcher(asked(tmp_path, "--launcher", "slurm", "--slurm", "partition=none")) as start,
    ):
        start(tiny_runs(tmp_path))


def test_a_stopped_slurm_job_gives_no_result_before_slurm_has_ended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tsl.experiments.launchers.on_slurm.time.sleep", slept.append)
    for outcome in (None, "ended with status 1", INTERRUPTED):
        monkeypatch.setattr("tsl.experiments.launchers.on_slurm.train", lambda *_, outcome=outcome: outcome)
        assert SlurmTraining()(tiny_runs(tmp_path)[0], 1, 0) == outcome
    assert slept == [KILLED_WITHIN]
