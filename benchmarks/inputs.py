"""What drawing inputs costs beside `torch.randn` of the same size: `python benchmarks/inputs.py`.

1,000,000 inputs of 100 dimensions in float64, 800 MB. Times are medians of rounds that take turns, on one thread and on
two. The peak of memory while drawing is measured in a process of its own, beside the 800 MB of the inputs themselves.
"""

import argparse
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from tsl.data import (
    CorrelatedGaussian,
    Gaussian,
    GaussianMixture,
    InputDistribution,
    Laplace,
    LogNormal,
    LowDimensionalGaussian,
    Rademacher,
    Sphere,
    StudentT,
    Uniform,
)

COUNT, DIM = 1_000_000, 100
DISTRIBUTIONS: Mapping[str, InputDistribution] = {
    "Gaussian": Gaussian(),
    "Uniform": Uniform(),
    "Laplace": Laplace(),
    "Rademacher": Rademacher(),
    "Sphere": Sphere(),
    "GaussianMixture, 10": GaussianMixture(10),
    "CorrelatedGaussian": CorrelatedGaussian(),
    "LowDimensionalGaussian, 10": LowDimensionalGaussian(10, noise_ratio=0.1),
    "LogNormal": LogNormal(),
    "StudentT, 3": StudentT(3, std=1.0),
}


def seconds(draw: Callable[[], torch.Tensor]) -> float:
    """The time of one draw."""
    start = time.perf_counter()
    draw()
    return time.perf_counter() - start


def most_memory() -> int:
    """The most bytes this process has held; getrusage would count what its parent held before it was started."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def peak(name: str, conn: "multiprocessing.connection.Connection") -> None:
    """Send the largest growth of this process, in bytes, while it drew inputs."""
    DISTRIBUTIONS[name].sample(1000, DIM, torch.Generator())  # what torch loads at first use is no part of it
    before = most_memory()
    DISTRIBUTIONS[name].sample(COUNT, DIM, torch.Generator())
    conn.send(most_memory() - before)


def peak_memory(name: str) -> float:
    """The memory that `peak` reports, measured in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak, args=(name, sender))
    process.start()
    grown = receiver.recv()
    process.join()
    return grown


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description="What drawing inputs costs beside torch.randn of the same size.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    generator = torch.Generator()
    draws = {"torch.randn": lambda: torch.randn(COUNT, DIM, generator=generator, dtype=torch.float64)} | {
        name: functools.partial(of.sample, COUNT, DIM, generator) for name, of in DISTRIBUTIONS.items()
    }
    for threads in (1, 2):
        torch.set_num_threads(threads)
        times: dict[str, list[float]] = {name: [] for name in draws}
        for _ in range(rounds):
            for name, draw in draws.items():
                times[name].append(seconds(draw))
        reference = statistics.median(times["torch.randn"])
        print(f"\n{threads} thread{'s' * (threads > 1)}, median of {rounds} rounds")
        for name, measured in times.items():
            print(f"  {name:27} {statistics.median(measured):6.2f} s  {statistics.median(measured) / reference:5.2f}")
    print("\npeak of memory while drawing, over the size of the inputs")
    for name in DISTRIBUTIONS:
        print(f"  {name:27} {peak_memory(name) / (8 * COUNT * DIM):5.2f}")


if __name__ == "__main__":
    main()
