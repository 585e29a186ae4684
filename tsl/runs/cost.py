"""What a run has cost: the entry `cost` of its status.json."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tsl.runs.status import read_status


class Cost(NamedTuple):
    """The cost of training and evaluating a run, summed over all its stops and resumptions.

    Attributes:
        seconds: Wall time.
        student_steps: Optimizer steps × replicates.
        peak_memory: The most bytes that the process held in main memory; for several runs, those of the largest one.
    """

    seconds: float = 0.0
    student_steps: int = 0
    peak_memory: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """The cost of both runs, one after the other."""
        seconds, steps = self.seconds + other.seconds, self.student_steps + other.student_steps
        return Cost(seconds, steps, max(self.peak_memory, other.peak_memory))

    def __str__(self) -> str:
        rate = f" ({self.student_steps / self.seconds:,.0f} a second)" if self.seconds else ""
        return (
            f"{self.student_steps:,} student-steps{rate} in {duration(self.seconds)}, "
            f"peak memory {self.peak_memory / 1e9:.1f} GB"
        )


def cost_of(run: Path) -> Cost | None:
    """The cost of a run; None if status.json has no cost, as in runs of older versions."""
    said = read_status(run).get("cost")
    try:
        return None if said is None else Cost(**said)
    except TypeError:  # it is damaged, or of a newer version
        return None


def total_cost(runs: Iterable[Path]) -> Cost:
    """The cost of runs together."""
    total = Cost()
    for run in runs:
        total = total.plus(cost_of(run) or Cost())
    return total


def duration(seconds: float) -> str:
    """A duration in words, in a unit that suits it.

    >>> duration(50), duration(600), duration(9000)
    ('50 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
