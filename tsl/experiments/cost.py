"""What runs will cost: student-steps, and seconds of one core by their arithmetic."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tsl.experiments.planned_run import PlannedRun
from tsl.runs.settings import MULTIPLIER

OPERATIONS_A_SECOND = {"64-true": 15e9, "32-true": 35e9}
"""Of one core in fused steps of small networks, evaluations included: half of what benchmarks/training.py shows."""

TEACHER, STUDENT = "model.init_args.teacher.init_args.", "model.init_args.student.init_args."


def core_seconds(run: PlannedRun) -> float | None:
    """Seconds that a core takes for what is left of a run; None for networks that are no MLPs of known widths."""
    per_step = operations_of_a_step(run.settings)
    if per_step is None:
        return None
    steps = (run.epochs - run.epochs_done) * run.student_steps
    return steps * per_step / OPERATIONS_A_SECOND.get(str(run.settings["trainer.precision"]), 35e9)


def operations_of_a_step(settings: Mapping[str, Any]) -> float | None:
    """Multiplications and additions of a step of one student: forward, the error's way back, and the gradient."""
    widths = settings.get(f"{STUDENT}widths")
    if widths is None and settings.get(f"{TEACHER}widths") is not None:
        widths = [(settings.get(MULTIPLIER) or 1) * width for width in settings[f"{TEACHER}widths"]]
    ends = [settings.get(f"{TEACHER}{name}") for name in ("input_dim", "output_dim")]
    if widths is None or None in ends:
        return None
    products: Sequence[float] = [below * above for below, above in pairwise([ends[0], *widths, ends[1]])]
    return 2 * settings["data.init_args.batch_size"] * (3 * sum(products) - products[0])


MEMORY_OF_A_PROCESS = 1.2e9
"""Bytes that a run of tsl.fit takes whatever it trains, measured: the libraries, and blocks of an evaluation."""


def memory(run: PlannedRun) -> float:
    """About the bytes of main memory that a run takes: its process, and each replicate's inputs and teacher answers.

    Images, which all replicates share, count as if each had its own.
    """
    settings = run.settings
    sizes = settings.get("grid.data.init_args.train_size") or settings.get("data.init_args.train_size") or 0
    samples = np.max(sizes) + (settings.get("data.init_args.val_size") or 0)
    widths = [settings.get("data.init_args.dim") or 0, settings.get(f"{TEACHER}output_dim") or 0]
    bytes_each = 8 if str(settings["trainer.precision"]).startswith("64") else 4
    return float(MEMORY_OF_A_PROCESS + settings["replicates"] * samples * sum(widths) * bytes_each)
