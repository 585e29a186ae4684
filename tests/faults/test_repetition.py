"""Exact repetition: the same bits from the same config, seed and threads; nearly the same from other threads and R."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.broken_settings import write_files
from tests.faults.processes import assert_same_run
from tests.faults.repeated import CONFIGS
from tests.fitting import ROOT, weights

R = 3
TOLERANCE = {"two_layer": 1e-12, "deep": 1e-5, "conv": 1e-4}
"""Of the largest weight of each tensor, after three epochs; two-layer runs are in float64, the others in float32."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int, int], Path]:
    """Directories of runs, by threads, replicates, and which repetition it is."""
    folder = tmp_path_factory.mktemp("repeated")
    write_files(folder)
    started = {}
    for threads, replicates, again in [(1, R, 0), (1, R, 1), (1, 1, 0), (1, 1, 1), (2, R, 0), (2, R, 1)]:
        root = folder / f"{threads}_{replicates}_{again}"
        command = [sys.executable, "-m", "tests.faults.repeated", str(folder), str(root), str(threads), str(replicates)]
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": str(again)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stderr
        started[threads, replicates, again] = root
    return started


@pytest.mark.parametrize(("threads", "replicates"), [(1, R), (1, 1), (2, R)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_bits(name: str, threads: int, replicates: int, roots: dict[tuple[int, int, int], Path]) -> None:
    first, second = (roots[threads, replicates, again] / name / "run" for again in (0, 1))
    assert_same_run(first, second)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_number_of_threads_changes_rounding_alone(name: str, roots: dict[tuple[int, int, int], Path]) -> None:
    one, two = (weights(roots[threads, R, 0] / name / "run") for threads in (1, 2))
    assert all(differs_by(tensor, two[key]) <= TOLERANCE[name] for key, tensor in one.items())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_number_of_replicates_changes_rounding_alone(name: str, roots: dict[tuple[int, int, int], Path]) -> None:
    many, alone = (weights(roots[1, replicates, 0] / name / "run") for replicates in (R, 1))
    for key, tensor in alone.items():
        first = many[key][: len(tensor)]  # a tensor that all replicates share has no axis for them
        assert differs_by(tensor, first) <= TOLERANCE[name], key


def differs_by(first: torch.Tensor, second: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((first - second).abs().max() / first.abs().max().clamp_min(1e-30))
