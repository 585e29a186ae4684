"""Sweeps by a real Ray and a real SLURM whose workers and jobs are killed: they come out as if nothing had happened."""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.processes import assert_same_run
from tests.fitting import ROOT
from tests.slurm_node import job_ids, slurm_node, wait_until, why_not
from tests.tiny_sweep import tiny_runs
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.training import is_at_work, log_path

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.cluster]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
needs_slurm = pytest.mark.skipif(
    why_not() is not None or importlib.util.find_spec("submitit") is None,
    reason=f"SLURM: {why_not() or 'submitit is not installed'}",
)


SWEEPS: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def end_sweeps() -> Iterator[None]:
    """No sweep goes on after its test."""
    yield
    while SWEEPS:
        SWEEPS.pop().kill()


def start_sweep(
    root: Path, *arguments: str, environment: dict[str, str] | None = None, directory: Path = ROOT
) -> subprocess.Popen[str]:
    sweep = subprocess.Popen(
        [sys.executable, "-m", "tests.tiny_sweep", str(root), *arguments],
        env=(environment or os.environ) | {"PYTHONPATH": str(ROOT)},
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    SWEEPS.append(sweep)
    return sweep


def ended(sweep: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status of a sweep, and all that it said."""
    said, _ = sweep.communicate(timeout=600)
    return sweep.returncode, said


def assert_complete(sweep: subprocess.Popen[str]) -> None:
    status, said = ended(sweep)
    assert status == 0, said


def wait_for_checkpoint(runs: Sequence[PlannedRun], sweep: subprocess.Popen[str]) -> PlannedRun:
    """Wait until one of the runs is being trained and can go on from a checkpoint."""
    found: list[PlannedRun] = []

    def there() -> bool:
        assert sweep.poll() is None, sweep.communicate()[0]
        found.extend(run for run in runs if not run.complete and (run.path / "checkpoints/last.ckpt").exists())
        return bool(found)

    wait_until(there)
    return found[0]


def process_of(run: PlannedRun) -> int:
    """The process of tsl.fit that trains it."""
    words = "\0".join(run.arguments)
    return next(int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cmdline") if words in _text(file))


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # the process has ended
        return ""


def starts(run: PlannedRun) -> int:
    """How often a process was started for it."""
    return len(re.findall(r"^\$ ", log_path(run).read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The finished runs of a sweep by the local launcher."""
    root = tmp_path_factory.mktemp("local")
    assert_complete(start_sweep(root))
    return [run.path for run in tiny_runs(root)]


@pytest.fixture
def same(undisturbed: list[Path]) -> Callable[[Sequence[PlannedRun]], None]:
    """Says whether weights, records and metrics of a sweep are those of the undisturbed one, bit for bit."""

    def assert_same(runs: Sequence[PlannedRun]) -> None:
        for expected, run in zip(undisturbed, runs, strict=True):
            assert_same_run(expected, run.path)

    return assert_same


@contextmanager
def without_ray() -> Iterator[dict[str, str]]:
    """An environment in which no Ray cluster is found; pytest's directories are too long for Ray's sockets."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    yield kept | token | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which a Ray cluster of two CPUs is found, which was started before in another directory."""
    directory = tmp_path_factory.mktemp("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    said = directory / "said"
    with without_ray() as environment, said.open("w") as log:
        cluster = subprocess.Popen(
            [*command, "--num-cpus=2", "--include-dashboard=false"],
            env=environment | {"PYTHONPATH": str(ROOT)},
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: "Ray runtime started" in said.read_text())
            yield environment | {"RAY_ADDRESS": f"127.0.0.1:{port}"}
        finally:
            cluster.terminate()
            cluster.wait(timeout=60)


@needs_ray
def test_a_run_whose_ray_worker_is_killed_goes_on(tmp_path: Path, same: Callable[[Sequence[PlannedRun]], None]) -> None:
    runs = tiny_runs(tmp_path)
    with without_ray() as environment:
        sweep = start_sweep(tmp_path, "--launcher", "ray", "--workers", "2", environment=environment)
        run = wait_for_checkpoint(runs, sweep)
        training = process_of(run)
        worker = parent_of(training)
        assert "ray::train_in" in Path(f"/proc/{worker}/cmdline").read_text()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "tsl.fit" not in _text(Path(f"/proc/{training}/cmdline")))  # it does not outlive its worker
        assert_complete(sweep)
    same(runs)
    assert [starts(each) for each in runs] == [1 + (each == run) for each in runs]


@needs_ray
def test_an_interrupted_sweep_on_a_ray_cluster_goes_on_there_and_here_at_once(
    tmp_path: Path, ray_cluster: dict[str, str], same: Callable[[Sequence[PlannedRun]], None]
) -> None:
    """The cluster was started elsewhere, so relative paths must reach its workers."""
    runs = tiny_runs(tmp_path / "sweep")

    def start(*launcher: str) -> subprocess.Popen[str]:
        return start_sweep(Path("sweep"), *launcher, environment=ray_cluster, directory=tmp_path)

    sweep = start("--launcher", "ray")
    wait_for_checkpoint(runs, sweep)
    sweep.send_signal(signal.SIGINT)
    assert ended(sweep)[0] == 130
    wait_until(lambda: not any(is_at_work(run) for run in runs))
    before = sum(starts(run) for run in runs if log_path(run).exists())
    left = sum(not run.complete for run in runs)
    assert left
    both = start("--launcher", "ray"), start("--launcher", "local")
    for each in both:
        assert_complete(each)
    same(runs)
    assert sum(starts(run) for run in runs) == before + left


@needs_ray
def test_a_ray_cluster_that_exists_has_its_own_number_of_workers(tmp_path: Path, ray_cluster: dict[str, str]) -> None:
    status, said = ended(start_sweep(tmp_path, "--launcher", "ray", "--workers", "3", environment=ray_cluster))
    assert status == 2
    assert "error: --workers 3: expected no number, because a Ray cluster exists already" in said


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm_node(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@needs_slurm
def test_preempted_slurm_jobs_are_queued_again_and_go_on(
    tmp_path: Path, slurm: dict[str, str], same: Callable[[Sequence[PlannedRun]], None]
) -> None:
    """One job gets the signal that announces its end, another one is stopped by SLURM itself."""
    runs = tiny_runs(tmp_path)
    sweep = start_sweep(tmp_path, "--launcher", "slurm", environment=slurm)
    jobs = dict(zip((run.path for run in runs), _jobs_of_three(slurm), strict=True))
    announced = wait_for_checkpoint(runs, sweep)
    subprocess.run(["scancel", "--signal=USR2", jobs[announced.path]], env=slurm, check=True)
    requeued = wait_for_checkpoint([run for run in runs if run != announced], sweep)
    subprocess.run(["scontrol", "requeue", jobs[requeued.path]], env=slurm, check=True)
    assert_complete(sweep)
    same(runs)
    assert [starts(run) for run in runs] == [1 + (run in (announced, requeued)) for run in runs]


@needs_slurm
def test_slurm_trains_on_after_ctrl_c_and_the_same_command_joins_in(
    tmp_path: Path, slurm: dict[str, str], same: Callable[[Sequence[PlannedRun]], None]
) -> None:
    """A job of the first start that is cancelled then is taken over by the second start."""
    runs = tiny_runs(tmp_path)
    sweep = start_sweep(tmp_path, "--launcher", "slurm", environment=slurm)
    jobs = dict(zip((run.path for run in runs), _jobs_of_three(slurm), strict=True))
    wait_until(lambda: log_path(runs[0]).exists())  # the jobs have what submitit writes for them after sbatch
    sweep.send_signal(signal.SIGINT)
    status, said = ended(sweep)
    assert status == 130
    assert f"To cancel them:\n  scancel {jobs[runs[0].path].partition('_')[0]}\n" in said
    sweep = start_sweep(tmp_path, "--launcher", "slurm", environment=slurm)
    cancelled = wait_for_checkpoint(runs, sweep)
    subprocess.run(["scancel", jobs[cancelled.path]], env=slurm, check=True)
    assert_complete(sweep)
    same(runs)
    assert [starts(run) for run in runs] == [1 + (run == cancelled) for run in runs]
    wait_until(lambda: not job_ids(slurm))
    results = [file.name for file in (tmp_path / ".slurm").glob("*_result.pkl")]
    assert len(results) >= 5  # all jobs of both starts but the cancelled one have ended well


def _jobs_of_three(environment: dict[str, str]) -> list[str]:
    wait_until(lambda: len(job_ids(environment)) == 3)
    return job_ids(environment)
