"""Exact repetition: the same bits from the same config, seed and threads; nearly the same from other threads and R."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.broken_settings import write_files
from tests.faults.processes import assert_same_run
from tests.faults.repeated import CONFIGS
from tests.fitting import ROOT, weights

R = 3
TOLERANCE = {"two_layer": 1e-12, "deep": 1e-6, "conv": 1e-5}
"""Of the largest weight of each tensor, after three epochs; two-layer runs are in float64, the others in float32."""


MANY = pytest.mark.faults

Roots = Callable[[int, int, int], Path]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """The directory of the runs with so many threads and replicates, of a repetition; trained at the first call."""
    folder = tmp_path_factory.mktemp("repeated")
    write_files(folder)

    @cache
    def trained(threads: int, replicates: int, again: int) -> Path:
        runs = folder / f"{threads}_{replicates}_{again}"
        command = [sys.executable, "-m", "tests.faults.repeated", str(folder), str(runs), str(threads), str(replicates)]
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
        return runs

    return trained


@pytest.mark.parametrize(
    ("threads", "replicates"), [(1, R), pytest.param(1, 1, marks=MANY), pytest.param(2, R, marks=MANY)]
)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_bits(name: str, threads: int, replicates: int, root: Roots) -> None:
    first, second = (root(threads, replicates, again) / name / "run" for again in (0, 1))
    assert_same_run(first, second)


@MANY
@pytest.mark.parametrize("name", CONFIGS)
def test_the_number_of_threads_changes_rounding_alone(name: str, root: Roots) -> None:
    one, two = (weights(root(threads, R, 0) / name / "run") for threads in (1, 2))
    assert max(differs_by(tensor, two[key]) for key, tensor in one.items()) <= TOLERANCE[name]


@MANY
@pytest.mark.parametrize("name", CONFIGS)
def test_the_number_of_replicates_changes_rounding_alone(name: str, root: Roots) -> None:
    many, alone = (weights(root(1, replicates, 0) / name / "run") for replicates in (R, 1))
    of_first = {key: many[key][: len(tensor)] for key, tensor in alone.items()}  # all of it where replicates share it
    assert max(differs_by(tensor, of_first[key]) for key, tensor in alone.items()) <= TOLERANCE[name]


def differs_by(first: torch.Tensor, second: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((first - second).abs().max() / first.abs().max().clamp_min(1e-30))
