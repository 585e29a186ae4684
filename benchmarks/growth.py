"""Time of a student-step as sizes grow: python benchmarks/growth.py, which draws docs/growth.png.

Microseconds of one core for one optimizer step of one student, steps fused, through `Trainer.fit` with evaluation
excluded, in float64. One size varies at a time from the problem of benchmarks/training.py: R = 32 replicates of d = 100
inputs, m = 20 teacher nodes, n = 20 student nodes, 10,000 training inputs, batch 16. Beside them R = 1 with eager
steps, and the memory of 192 replicates.
"""

import os

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # as tsl does, before torch is imported

import argparse
import logging
import resource
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
from matplotlib import pyplot as plt

from benchmarks.training import timed_fit
from tsl.data import Gaussian, SyntheticDataModule
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, WithWidths

SIZES = {
    "R": ("replicates", (1, 2, 8, 32, 128, 512)),
    "n": ("student nodes", (20, 50, 100, 200, 400)),
    "m": ("teacher nodes", (5, 20, 50, 100)),
    "d": ("input dimension", (10, 30, 100, 300, 1000)),
    "N": ("training inputs", (100, 1_000, 10_000, 100_000)),
}
BASE = {"R": 32, "n": 20, "m": 20, "d": 100, "N": 10_000}


def seconds_of_a_step(sizes: dict[str, int], steps: int, how: str = "fused", precision: str = "64-true") -> float:
    """Wall time of an optimizer step of all replicates."""
    module = TeacherStudent(
        partial(MLP, input_dim=sizes["d"], widths=[sizes["m"]], output_dim=50),
        GaussianInitialization(0.1),
        GaussianInitialization(0.1),
        student=WithWidths([sizes["n"]]),
        replicates=sizes["R"],
        steps=how,  # type: ignore[arg-type]
    )
    data = SyntheticDataModule(
        Gaussian(std=1.5),
        dim=sizes["d"],
        train_size=sizes["N"],
        val_size=sizes["N"] if how == "auto" else 16,
        batch_size=16,
        steps_per_epoch=steps,
        replacement=True,
        replicates=sizes["R"],
    )
    return timed_fit(module, data, precision).training / steps


def gigabytes_of(replicates: int) -> float:
    """Most memory that a process takes which trains 10x students of N = 10,000 inputs in float32."""
    sizes = BASE | {"R": replicates, "n": 200}
    call = f"from benchmarks.growth import seconds_of_a_step; seconds_of_a_step({sizes}, 50, 'auto', '32-true')"
    subprocess.run([sys.executable, "-c", call], check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/growth.png"))
    out = parser.parse_args().out
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seconds_of_a_step(BASE, 100)  # compiled code is loaded
    plt.switch_backend("agg")
    print(f"memory of 192 replicates, 10x, float32: {gigabytes_of(192):.2f} GB")
    one = BASE | {"R": 1}
    fused, eager = (seconds_of_a_step(one, 2000, how) for how in ("fused", "eager"))
    print(f"R = 1: fused {fused * 1e6:.0f} µs, eager {eager * 1e6:.0f} µs a step")
    figure, axes = plt.subplots(1, len(SIZES), figsize=(12, 2.6), sharey=True, layout="constrained")
    for axis, (letter, (name, values)) in zip(axes, SIZES.items(), strict=True):
        micros = []
        for value in values:
            sizes = BASE | {letter: value}
            cores = min(torch.get_num_threads(), sizes["R"])
            steps = max(20, 16_000 // sizes["R"])
            best = min(seconds_of_a_step(sizes, steps) for _ in range(2))
            micros.append(best * 1e6 * cores / sizes["R"])
            print(f"{letter} = {value:>7,}: {micros[-1]:8.1f} µs", flush=True)
        axis.loglog(values, micros, "o-", color="C0")
        axis.minorticks_off()
        axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=7)
        axis.set(xlabel=f"{name} {letter}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("µs of a core\nfor a student-step")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
