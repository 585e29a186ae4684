"""What the metrics cost beside the arithmetic they cannot do without; run by hand.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py

Times are medians of runs that take turns, so that a busy machine slows both sides of a ratio alike. The metrics
accumulate in float64, so the product that a ratio refers to is the float64 one of the same inputs; the ratio to the
float32 product, which none of them computes, stands beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import torch

from tsl.metrics import BoundaryObservation, LinearCKA, NodeCorrelation
from tsl.metrics.functional import shuffled_samples


def take_turns(runs: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median seconds of each run, one after the other in every turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in seconds.items()}


def report(title: str, seconds: dict[str, float], references: list[str], target: str = "") -> None:
    """Print milliseconds, and ratios to the references."""
    print(f"\n{title}{target and f' (target {target})'}")
    for name, value in seconds.items():
        ratios = "  ".join(f"{value / seconds[reference]:6.2f} × {reference}" for reference in references)
        print(f"  {name:34} {1e3 * value:9.1f} ms  {ratios}")


def one_update(metric: NodeCorrelation | LinearCKA, teacher: torch.Tensor, student: torch.Tensor) -> None:
    """A metric's whole life: one update and its value."""
    metric.reset()
    metric.update(teacher, student)
    metric.compute()


def node_correlation() -> None:
    """[50,000 × 64] against [50,000 × 320] in one update."""
    teacher, student = torch.randn(50_000, 64).relu(), torch.randn(50_000, 320).relu()
    teacher64, student64 = teacher.double(), student.double()
    metric = NodeCorrelation(64, 320)
    runs = {
        "float64 product": lambda: teacher64.mT @ student64,
        "float32 product": lambda: teacher.mT @ student,
        "NodeCorrelation of float32": lambda: one_update(metric, teacher, student),
        "NodeCorrelation of float64": lambda: one_update(metric, teacher64, student64),
    }
    report(
        "node correlation, [50,000 × 64] against [50,000 × 320]",
        take_turns(runs, 9),
        ["float64 product", "float32 product"],
        "≤ 2.5 × the float64 product",
    )


def linear_cka() -> None:
    """[50,000 × 512] both sides in one update."""
    teacher, student = torch.randn(50_000, 512).relu(), torch.randn(50_000, 512).relu()
    teacher64, student64 = teacher.double(), student.double()
    metric = LinearCKA(512, 512)
    runs = {
        "three float64 products": lambda: [
            teacher64.mT @ teacher64,
            student64.mT @ student64,
            teacher64.mT @ student64,
        ],
        "three float32 products": lambda: [teacher.mT @ teacher, student.mT @ student, teacher.mT @ student],
        "LinearCKA of float32": lambda: one_update(metric, teacher, student),
        "LinearCKA of float64": lambda: one_update(metric, teacher64, student64),
    }
    report(
        "linear CKA, [50,000 × 512] both sides",
        take_turns(runs, 3),
        ["three float64 products", "three float32 products"],
        "≤ 2.5 × the float64 products",
    )


def forward(inputs: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """A two-layer ReLU network."""
    return (inputs @ first).relu() @ last


def evaluation() -> None:
    """One evaluation batch of a two-layer run: 32 replicates, 1,000 inputs, 20 teacher and 200 student nodes."""
    for dtype in (torch.float64, torch.float32):
        inputs, teacher = torch.randn(32, 1000, 100, dtype=dtype), torch.randn(32, 1000, 20, dtype=dtype).relu()
        first, last = torch.randn(32, 100, 200, dtype=dtype), torch.randn(32, 200, 50, dtype=dtype)
        student = (inputs @ first).relu()
        runs: dict[str, Callable[[], object]] = {
            "student's forward pass": partial(forward, inputs, first, last),
            "NodeCorrelation.update": partial(NodeCorrelation(20, 200, 32).update, teacher, student),
            "BoundaryObservation.update": partial(BoundaryObservation(20, 200, 32).update, teacher, student),
            "null level: shuffled_samples": partial(shuffled_samples, teacher, torch.Generator()),
        }
        title = f"evaluation batch, R=32, 1,000 inputs, d=100, m=20, n=200, {dtype}"
        report(title, take_turns(runs, 9), ["student's forward pass"])


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    node_correlation()
    linear_cka()
    evaluation()
