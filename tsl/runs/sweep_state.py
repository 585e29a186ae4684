"""The progress of a sweep, read from its plan and its runs: on any machine, and also during training."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tsl.errors import InputError
from tsl.runs.cost import cost_of, duration, total_cost
from tsl.runs.records import recorded_epochs
from tsl.runs.status import COMPLETE, RUNNING, STATES, run_state

PLAN = "sweep.json"
"""The file in a sweep's directory with the plan of its runs and their costs."""

NOT_BEGUN = "not begun"


def describe_sweep(directory: Path) -> Iterator[str]:
    """Lines on a sweep's progress, its cost so far and the time left; none if the directory is not a sweep's.

    The time left is the plan's estimate, corrected by the time that the complete runs took.
    """
    try:
        planned = json.loads((directory / PLAN).read_text(encoding="utf-8"))["runs"]
        runs = [(directory / run["name"], run["epochs"], run["student_steps"], run["core_seconds"]) for run in planned]
    except (OSError, ValueError, KeyError, TypeError):
        return
    states: Counter[str] = Counter()
    steps_done, seconds_left, expected, taken = 0.0, 0.0, 0.0, 0.0
    for path, epochs, steps, seconds in runs:
        state = run_state(path, epochs) if path.exists() else NOT_BEGUN
        states[state] += 1
        share = 1.0 if state == COMPLETE else _share_done(path, epochs)
        steps_done += share * steps
        seconds_left += (1 - share) * (seconds or 0.0)
        cost = cost_of(path)
        if state == COMPLETE and cost is not None:
            expected, taken = expected + (seconds or 0.0), taken + cost.seconds
    counts = ", ".join(f"{states[state]} {state}" for state in (*STATES, NOT_BEGUN) if states[state])
    total_steps = sum(steps for _, _, steps, _ in runs)
    yield f"sweep of {len(runs)} runs: {counts}; {steps_done:,.0f} of {total_steps:,} student-steps"
    if seconds_left and expected:
        at_once = max(1, states[RUNNING])
        yield f"about {duration(seconds_left * taken / expected / at_once)} left, with {at_once} at a time"
    yield f"cost of its runs, one after the other: {total_cost(path for path, *_ in runs)}"


def _share_done(path: Path, epochs: int) -> float:
    try:
        return min(max(recorded_epochs(path, "losses"), default=0) / max(epochs, 1), 1.0)
    except InputError:
        return 0.0
