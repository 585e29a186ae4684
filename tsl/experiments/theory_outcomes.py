"""The statistics of T1 to T4: the numbers of a run beside the numbers of theory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import minimize

from tsl.experiments.statistic import Statistic
from tsl.figures.final_error import final_errors, late_loss
from tsl.figures.order_parameters import sorted_nodes, transition
from tsl.figures.theory_lines import Course, recorded_course, theory_of
from tsl.runs import ReplicateGroup, Run

DRAWS = 400
"""Bootstrap draws for an interval."""

LEAST_NOISE = 1e-3
"""The least standard deviation of noise in log time; without it the likelihood of a perfect power law is infinite."""

PLATEAU = 25
"""The largest α at which simulation and theory are compared across input dimensions. Students specialize after it, at
an α that depends exponentially on the first overlaps."""


class Exponent(NamedTuple):
    """The exponent of a power law, and its interval at 95 %."""

    value: float
    low: float
    high: float

    @property
    def in_words(self) -> str:
        """The text that tables show."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def beside_theory(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """T1 and T3: when students specialize, how far R is from theory, and the loss at the end.

    To compare R, student nodes are sorted by the teacher node that is nearest at the end, in run and theory separately.
    """
    recorded = recorded_course(group.run)
    simulated = sorted_nodes(of_group(group, recorded))
    solved = sorted_nodes(of_group(group, theory_of(group.run, recorded.alpha)))
    found, expected = transition(simulated), transition(solved)
    gap = np.abs(simulated.R - solved.R).max(axis=(2, 3))  # [times, replicates]
    return {
        "plateau, α": " to ".join(f"{alpha:.0f}" for alpha in found.plateau) if found and found.plateau else "none",
        "specialization, α": "none" if found is None else f"{found.specialization:.0f}",
        "by theory": "none" if expected is None else f"{expected.specialization:.0f}",
        "greatest |R − theory|": mean_and_std(gap.max(axis=0)),
        "population loss at the end": mean_and_std(simulated.loss[-1]),
        "of theory": mean_and_std(solved.loss[-1]),
    }


def late_error(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """T2: the loss over the last quarter of the run."""
    simulated = of_group(group, recorded_course(group.run))
    solved = of_group(group, theory_of(group.run, simulated.alpha))
    loss, of_theory = (late_loss(course.loss) for course in (simulated, solved))
    return {"population loss at the end": mean_and_std(loss, 2), "of theory": mean_and_std(of_theory, 2)}


def strength_order(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """T4: the exponent of fan-out strength in the time at which a teacher node's R passes ½, with its interval.

    Nodes whose R does not pass ½ by the end of the run are censored, in the fit to the run and in the fit to theory.
    """
    simulated = of_group(group, recorded_course(group.run))
    strength = np.linalg.norm(simulated.teacher_readout, axis=1)  # [replicates, M]
    solved = of_group(group, theory_of(group.run, np.linspace(0, simulated.alpha[-1], 4 * len(simulated.alpha))))
    times = passing_times(simulated)
    recovered = np.isfinite(times)
    of_recovered = [times[recovered[:, node], node] for node in (0, -1)]
    end = simulated.alpha[-1]
    return {
        "exponent of time in strength (95 %)": exponent(strength, times, end).in_words,
        "by theory": exponent(strength, passing_times(solved), end).in_words,
        "nodes whose R passed ½": f"{recovered.sum()} of {recovered.size}",
        "α for the strongest and weakest": " and ".join(f"{t.mean():.1f}" if len(t) else "never" for t in of_recovered),
    }


def approach_to_theory(runs: Sequence[Run]) -> list[str]:
    """T1-size: how the distance of simulation to theory falls with the input dimension, in a sentence."""
    dims, distances = [], []
    for run in runs:
        distance = distance_to_theory(run)
        dims += [float(run.settings["data.init_args.dim"])] * len(distance)
        distances += distance.tolist()
    means = [f"{np.mean(np.array(distances)[np.array(dims) == dim]):.4f} at d = {dim:g}" for dim in sorted(set(dims))]
    told = [f"distance to theory up to α = {PLATEAU}, root mean square over times and entries of Q and R: "]
    told[0] += ", ".join(means)
    if len(means) > 1:
        told.append(f"it goes as d to the power {exponents(np.log(distances), np.log(dims))[0].in_words} (95 %)")
    return told


def distance_to_theory(run: Run) -> np.ndarray:
    """The root mean square difference of Q and R over all entries and all times 0 < α ≤ `PLATEAU`, `[replicates]`."""
    simulated = recorded_course(run)
    times = simulated.alpha <= PLATEAU
    solved = theory_of(run, simulated.alpha[times])
    off = [simulated.Q[times] - solved.Q, simulated.R[times] - solved.R]
    distance: np.ndarray = np.sqrt(np.square(np.concatenate(off, axis=-1)[1:]).mean(axis=(0, 2, 3)))
    return distance


def noise_law(runs: Sequence[Run]) -> list[str]:
    """T2: sentences on the powers of learning rate and noise in the final error of each width, and on all widths."""
    return law_in_words(final_errors(runs))


def law_in_words(frame: pd.DataFrame) -> list[str]:
    """The sentences of `noise_law`, from the rows of `tsl.figures.final_error.final_errors`."""
    told = []
    for students, rows in frame.groupby("students"):
        varied = {name: rows[name] for name in ("rate", "noise") if rows[name].nunique() > 1}
        found = exponents(np.log(rows["loss"]), *(np.log(values) for values in varied.values()))
        words = [f"{name} to the power {each.in_words}" for name, each in zip(varied, found, strict=True)]
        if words:
            told.append(f"K = {students}: the final error goes as {', '.join(words)} (95 %)")
    ratios = frame["loss"] / frame["rate"] / frame["noise"] ** 2
    over = ratios.groupby(frame["students"]).agg(["mean", "sem"])
    rising = [f"{row['mean']:.3f} ± {row['sem']:.3f} at K = {students}" for students, row in over.iterrows()]
    return [*told, f"final error over η σ², mean ± standard error: {', '.join(rising)}"]


def exponents(y: np.ndarray, *regressors: np.ndarray) -> list[Exponent]:
    """The coefficient of each regressor beside an intercept, by least squares, with its interval at 95 % (Student's t).

    Args:
        y: `[n]`.
        regressors: Each `[n]`.
    """
    X = np.column_stack([np.ones(len(y)), *regressors])
    beta, *_ = np.linalg.lstsq(X, np.asarray(y))
    freedom = len(X) - X.shape[1]
    variance = np.sum((y - X @ beta) ** 2) / freedom * np.linalg.inv(X.T @ X).diagonal() if freedom else X[0] * np.nan
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    return [Exponent(b, b - h, b + h) for b, h in zip(beta[1:].tolist(), half[1:].tolist(), strict=True)]


def of_group(group: ReplicateGroup, course: Course) -> Course:
    """A course with only the replicates of a group."""
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


def exponent(strength: np.ndarray, times: np.ndarray, end: float) -> Exponent:
    """Fit log time = a + b · log strength + noise over the nodes of all replicates, and return b.

    The fit is by maximum likelihood for normal noise. A node that was never recovered counts as one whose time exceeds
    the end (Tobin 1958, Econometrica 26, 24); without it, weak nodes would look faster than they are. The interval is
    a percentile bootstrap over replicates, because the nodes of one replicate are not independent.

    Args:
        strength: Fan-out strength of every teacher node, `[replicates, M]`.
        times: When each was recovered, infinite if never, `[replicates, M]`; 0 is left out.
        end: The last time at which recovery could be seen.
    """
    replicates = len(strength)
    chosen = np.random.default_rng(0).integers(replicates, size=(DRAWS, replicates))
    draws = [censored_slope(strength[some], times[some], end) for some in chosen]
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return Exponent(censored_slope(strength, times, end), float(low), float(high))


def censored_slope(strength: np.ndarray, times: np.ndarray, end: float) -> float:
    """The b of `exponent`; NaN if fewer than two nodes of different strength were recovered."""
    late = times > 0
    x, y = np.log(strength[late]), np.log(np.minimum(times[late], end))
    seen = times[late] <= end
    if len(np.unique(x[seen])) < 2:
        return float("nan")

    def minus_log_likelihood(parameters: np.ndarray) -> float:
        slope, intercept, log_sigma = parameters
        z = (y - intercept - slope * x) / np.exp(log_sigma)
        return float(np.sum(z[seen] ** 2 / 2 + log_sigma) - np.sum(stats.norm.logsf(z[~seen])))

    slope, intercept = np.polyfit(x, y, 1)
    sigma = np.std(y - intercept - slope * x)
    start = np.array([slope, intercept, np.log(max(sigma, LEAST_NOISE))])
    bounds = [(None, None), (None, None), (np.log(LEAST_NOISE), None)]
    return float(minimize(minus_log_likelihood, start, method="L-BFGS-B", bounds=bounds).x[0])


def passing_times(course: Course, level: float = 0.5) -> np.ndarray:
    """When the largest |R_in| / T_nn over student nodes first passes a level, `[replicates, M]`; infinite if never.

    It is interpolated linearly between evaluations.
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
