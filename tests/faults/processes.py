"""Runs of `tsl.fit` as processes of their own, to kill, to stop and to start twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.fitting import ROOT, TINY, assert_same_records, weights

EPOCHS = ["--trainer.max_epochs", "40"]


def start(root: Path, version: str, *arguments: str, temporary: Path | None = None) -> subprocess.Popen[str]:
    """Start the tiny run, in a process group of its own."""
    command = [sys.executable, "-m", "tsl.fit", *TINY, "--trainer.default_root_dir", str(root), "--version", version]
    return subprocess.Popen(
        [*command, *EPOCHS, *arguments],
        cwd=ROOT,
        env=os.environ | ({} if temporary is None else {"TMPDIR": str(temporary)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str]:
    """The exit status of a process, and what it wrote on stderr; one that does not end is killed."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, errors


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is there, or the process has ended."""
    until = time.monotonic() + 120
    while not there() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)


def assert_same_run(first: Path, second: Path) -> None:
    """Weights, records and metrics.csv are the same bit for bit."""
    assert all(torch.equal(tensor, weights(second)[name]) for name, tensor in weights(first).items())
    assert_same_records(first, second)
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()
