"""Estimates of what runs cost: seconds of one core, and memory."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tsl.experiments.planned_run import PlannedRun
from tsl.runs.settings import MULTIPLIER

OPERATIONS_A_SECOND = {"64-true": 15e9, "32-true": 35e9}
"""Operations of one core in a second of fused steps and evaluations: half of what benchmarks/training.py measures."""

TEACHER, STUDENT = "model.init_args.teacher.init_args.", "model.init_args.student.init_args."


def core_seconds(run: PlannedRun) -> float | None:
    """The seconds that one core needs for the rest of a run; None if the networks are not MLPs of known widths."""
    per_step = operations_of_a_step(run.settings)
    if per_step is None:
        return None
    steps = (run.epochs - run.epochs_done) * run.student_steps
    return steps * per_step / OPERATIONS_A_SECOND.get(str(run.settings["trainer.precision"]), 35e9)


def operations_of_a_step(settings: Mapping[str, Any]) -> float | None:
    """Multiplications and additions of a step of one student: forward pass, backward pass, and gradient of weights."""
    widths = settings.get(f"{STUDENT}widths")
    if widths is None and settings.get(f"{TEACHER}widths") is not None:
        widths = [(settings.get(MULTIPLIER) or 1) * width for width in settings[f"{TEACHER}widths"]]
    ends = [settings.get(f"{TEACHER}{name}") for name in ("input_dim", "output_dim")]
    if widths is None or None in ends:
        return None
    products: Sequence[float] = [below * above for below, above in pairwise([ends[0], *widths, ends[1]])]
    return 2 * settings["data.init_args.batch_size"] * (3 * sum(products) - products[0])


MEMORY_OF_A_PROCESS = 1.2e9
"""Bytes that every run of tsl.fit takes, as measured: for the libraries and for blocks of an evaluation."""


def memory(run: PlannedRun) -> float:
    """An estimate of a run's main memory in bytes: its process, and each replicate's inputs and teacher outputs.

    Images count once for every replicate, although all replicates share them.
    """
    settings = run.settings
    sizes = settings.get("grid.data.init_args.train_size") or settings.get("data.init_args.train_size") or 0
    samples = np.max(sizes) + (settings.get("data.init_args.val_size") or 0)
    widths = [settings.get("data.init_args.dim") or 0, settings.get(f"{TEACHER}output_dim") or 0]
    bytes_each = 8 if str(settings["trainer.precision"]).startswith("64") else 4
    return float(MEMORY_OF_A_PROCESS + settings["replicates"] * samples * sum(widths) * bytes_each)
