"""What the closing tables of T1 to T4 tell of a run, beside what theory says of it."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from tsl.figures.order_parameters import sorted_nodes, transition
from tsl.figures.theory_lines import Course, recorded_course, theory_of
from tsl.runs import ReplicateGroup

LAST = 0.25
"""Share of a run's evaluations, its last, over which a final loss is averaged: online learning never stands still."""


def beside_theory(group: ReplicateGroup) -> dict[str, str]:
    """T1 and T3: when students specialize, how far R is from theory, and the loss at the end.

    R is compared with student nodes in the order of the teacher nodes they end nearest to, in each of the two.
    """
    recorded = recorded_course(group.run)
    simulated = sorted_nodes(of_group(group, recorded))
    solved = sorted_nodes(of_group(group, theory_of(group.run, recorded.alpha)))
    found, expected = transition(simulated), transition(solved)
    gap = np.abs(simulated.R - solved.R).max(axis=(2, 3))  # [times, replicates]
    return {
        "plateau, α": "none" if found is None else f"{found.plateau[0]:.0f} to {found.plateau[1]:.0f}",
        "specialization, α": "none" if found is None else f"{found.specialization:.0f}",
        "by theory": "none" if expected is None else f"{expected.specialization:.0f}",
        "greatest |R − theory|": mean_and_std(gap.max(axis=0)),
        "population loss at the end": mean_and_std(simulated.loss[-1]),
        "of theory": mean_and_std(solved.loss[-1]),
    }


def final_error(group: ReplicateGroup) -> dict[str, str]:
    """T2: the loss over the last quarter of the run."""
    simulated = of_group(group, recorded_course(group.run))
    solved = of_group(group, theory_of(group.run, simulated.alpha))
    late = max(1, int(len(simulated.alpha) * LAST))
    loss, of_theory = (course.loss[-late:].mean(axis=0) for course in (simulated, solved))
    return {"population loss at the end": mean_and_std(loss, 2), "of theory": mean_and_std(of_theory, 2)}


def strength_order(group: ReplicateGroup) -> dict[str, str]:
    """T4: the exponent of the time at which R of a teacher node passes ½ in its fan-out strength, with its interval."""
    simulated = of_group(group, recorded_course(group.run))
    strength = np.linalg.norm(simulated.teacher_readout, axis=1)  # [replicates, M]
    solved = of_group(group, theory_of(group.run, np.linspace(0, simulated.alpha[-1], 4 * len(simulated.alpha))))
    times = passing_times(simulated)
    recovered = np.isfinite(times)
    of_recovered = [times[recovered[:, node], node] for node in (0, -1)]
    return {
        "exponent of time in strength (95 %)": exponent(strength, times).in_words,
        "by theory": exponent(strength, passing_times(solved)).in_words,
        "nodes whose R passed ½": f"{recovered.sum()} of {recovered.size}",
        "α for the strongest and weakest": " and ".join(f"{t.mean():.1f}" if len(t) else "never" for t in of_recovered),
    }


def of_group(group: ReplicateGroup, course: Course) -> Course:
    """What a course is for the replicates of a group alone."""
    chosen = group.replicates
    return Course(
        course.alpha,
        course.Q[:, chosen],
        course.R[:, chosen],
        course.T[chosen],
        course.readout[:, chosen],
        course.teacher_readout[chosen],
        course.loss[:, chosen],
    )


class Exponent(NamedTuple):
    """The slope of log time in log strength over replicates.

    Attributes:
        mean: Its mean over replicates.
        half_width: Half the width of its interval at 95 % (Student's t over replicates); NaN of a single replicate.
    """

    mean: float
    half_width: float

    @property
    def in_words(self) -> str:
        """As a table says it."""
        return f"{self.mean:.2f} ± {self.half_width:.2f}"


def exponent(strength: np.ndarray, times: np.ndarray) -> Exponent:
    """Least squares in each replicate, over the nodes that were recovered after the start.

    Args:
        strength: Fan-out strength of every teacher node, `[replicates, M]`.
        times: When each was recovered, infinite if never, `[replicates, M]`.
    """
    slopes = []
    for x, y in zip(np.log(strength), times, strict=True):
        usable = np.isfinite(y) & (y > 0)
        if usable.sum() > 1:
            slopes.append(np.polyfit(x[usable], np.log(y[usable]), 1)[0])
    n = len(slopes)
    half = stats.t.ppf(0.975, n - 1) * np.std(slopes, ddof=1) / n**0.5 if n > 1 else np.nan
    return Exponent(float(np.mean(slopes)) if n else np.nan, float(half))


def passing_times(course: Course, level: float = 0.5) -> np.ndarray:
    """When the largest |R_in| / T_nn over student nodes first passes a level, `[replicates, M]`; infinite if never.

    Between evaluations it is taken to move in a straight line.
    """
    overlap = np.abs(course.R).max(axis=2) / np.diagonal(course.T, axis1=-2, axis2=-1)  # [times, replicates, M]
    passed = overlap > level
    first = passed.argmax(axis=0)
    before = np.maximum(first - 1, 0)
    low, high = (np.take_along_axis(overlap, index[None], axis=0)[0] for index in (before, first))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(first > 0, (level - low) / (high - low), 0.0)
    times = course.alpha[before] + share * (course.alpha[first] - course.alpha[before])
    return np.where(passed.any(axis=0), times, np.inf)


def mean_and_std(over_replicates: np.ndarray, digits: int = 1) -> str:
    """Mean ± standard deviation."""
    std = np.std(over_replicates, ddof=1) if len(over_replicates) > 1 else 0.0
    return f"{np.mean(over_replicates):.{digits}e} ± {std:.{digits}e}"
