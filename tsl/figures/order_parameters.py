"""T1 to T3: overlaps Q and R and the exact loss against time, from simulation and from theory."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from tsl.figures.style import PALETTE, PRINT, ROUNDING, Canvas, Place, footnotes, grid, legend_above
from tsl.figures.theory_lines import MODEL, Course, is_small_rate, recorded_course, theory_of
from tsl.runs import Run

TABLES = ("overlaps", "output_weights", "losses")
PRECISION = 1e-8
"""Losses of theory below this are numerical errors of the integration, and are not drawn."""

LEVEL = 1.25
"""The largest ratio of two losses on a plateau."""

MOST_NODES = 3
"""The largest number of teacher nodes whose overlaps are drawn one by one."""


class Transition(NamedTuple):
    """The α at which a run's students specialize, from means over replicates.

    Attributes:
        plateau: First and last α of the plateau before it; None if there is no plateau, or no recorded loss.
        specialization: The α of the transition.
    """

    plateau: tuple[float, float] | None
    specialization: float


def differentiation(course: Course) -> np.ndarray:
    """How far student nodes differ in their overlap with a teacher node: largest minus mean, `[times, replicates]`.

    The overlap is |R_in| / √(Q_ii T_nn), and the result the mean over teacher nodes. It is 0 if all student nodes are
    alike.
    """
    cosines = np.abs(course.cosines)
    return (cosines.max(axis=2) - cosines.mean(axis=2)).mean(axis=-1)


def transition(course: Course) -> Transition | None:
    """Plateau and specialization, defined without a fit; None if student nodes do not differentiate.

    Specialization is when the mean `differentiation` last passes half of its last value. The plateau is the longest
    time before it in which the mean loss changes by a factor of at most `LEVEL`.
    """
    spread, loss = differentiation(course).mean(axis=1), course.loss.mean(axis=1)
    start, end = spread[0], spread[-1]
    if not end > max(0.2, 2 * start):
        return None
    late = int(np.flatnonzero(spread < end / 2)[-1]) + 1
    specialization = np.interp(end / 2, spread[late - 1 : late + 1], course.alpha[late - 1 : late + 1])
    stretches = [(0.0, 0.0)]
    for first in range(late):
        level = np.maximum.accumulate(loss[first:late]) <= LEVEL * np.minimum.accumulate(loss[first:late])
        stretches.append((course.alpha[first], course.alpha[first + max(level.sum(), 1) - 1]))
    plateau = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
    return Transition(plateau if plateau[1] > plateau[0] else None, float(specialization))


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], theory: bool = False, figure: Place | None = None) -> Canvas:
    """A row for each run: Q of student nodes, R of student nodes with teacher nodes, and the loss.

    In each replicate, student nodes are sorted by the teacher node that is nearest at the end, in simulation and in
    theory separately. Points are the mean over replicates with its standard deviation, thin lines are single
    replicates, and thick lines are theory.

    Args:
        runs: Runs of two-layer students with the tables `overlaps` and `output_weights`.
        theory: Whether to draw the solution of the equations of learning, from each replicate's own first overlaps.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.
    """
    figure, rows = grid(len(runs), 3, 1.9, share_y="none", share_x="row", figure=figure)
    notes = [
        "points: mean ± standard deviation over replicates (for the loss, of its logarithm); thin lines: replicates"
    ]
    handles: dict[str, Any] = {}
    for run, panels in zip(runs, rows, strict=True):
        simulated = sorted_nodes(recorded_course(run))
        solved = None
        if theory:
            alpha = np.linspace(0, simulated.alpha[-1], 201)
            solved = sorted_nodes(theory_of(run, alpha))  # may sort otherwise near a symmetric start
            small = is_small_rate(run.settings.get(f"{MODEL}.student.init_args.activation") or teacher_activation(run))
            handles_of_theory = "theory (small learning rate)" if small else "theory"
            solved = solved._replace(loss=np.where(solved.loss > PRECISION, solved.loss, np.nan))
            notes.append(
                "theory: mean over replicates of the solutions from their own first overlaps; losses below "
                f"{PRECISION:.0e} are not drawn, because they are errors of the integration"
            )
        draw_run(panels, simulated, solved, handles)
        if solved is not None:
            handles[handles_of_theory] = panels[2].lines[-1]
        panels[0].set_title(run.name, loc="left")
        found = transition(simulated)
        if found is None:
            notes.append(f"{run.name}: student nodes did not differentiate")
            continue
        for panel in panels:
            if found.plateau is not None:
                handles["plateau"] = panel.axvspan(*found.plateau, color="0.5", alpha=0.12, linewidth=0)
            handles["specialization"] = panel.axvline(found.specialization, color="0.4", linestyle=":", linewidth=1)
    for panel in rows[-1]:
        panel.set_xlabel(r"$\alpha$ = samples / dimension")
    legend_above(figure, handles)
    footnotes(figure, notes)
    return figure


def draw_run(panels: Sequence[Axes], simulated: Course, solved: Course | None, handles: dict[str, Any]) -> None:
    """Draw one run into its three panels."""
    K, M = simulated.R.shape[-2:]
    shown = min(M, MOST_NODES)
    for course, is_theory in ((simulated, False), *(((solved, True),) if solved is not None else ())):
        diagonal = np.diagonal(course.Q, axis1=-2, axis2=-1)
        lines = [("$Q_{kk}$", panels[0], diagonal.mean(axis=-1), 0)]
        if K > 1:
            off = (course.Q.sum(axis=(-2, -1)) - diagonal.sum(axis=-1)) / (K * (K - 1))
            lines.append(("$Q_{ik}$", panels[0], off, 1))
        for node in range(shown):
            nearest = rf"$R_{{{node + 1}{node + 1}}}$, nearest"
            lines.append((nearest, panels[1], course.R[..., node % K, node], 2 + node))
        others = np.ones((K, M), dtype=bool)
        others[np.arange(min(K, M)), np.arange(min(K, M))] = False
        if others.any():
            lines.append(("$R_{in}$, others", panels[1], course.R[..., others].mean(axis=-1), 6))
        lines.append(("loss", panels[2], course.loss, 5))
        for name, panel, values, color in lines:
            artist = curve(panel, course.alpha, values, PALETTE[color], is_theory, logarithmic=name == "loss")
            if not is_theory and name != "loss":
                handles[name] = artist
    for panel, label in zip(panels, ("$Q$, mean over nodes", "$R$", "population loss"), strict=True):
        panel.set_ylabel(label)
    panels[2].set_yscale("log")


def curve(
    panel: Axes, alpha: np.ndarray, values: np.ndarray, color: str, is_theory: bool, logarithmic: bool = False
) -> Any:
    """Draw one quantity `[times, replicates]`: theory as a line, or simulation as points with thin lines."""
    values = np.log10(values.clip(min=ROUNDING)) if logarithmic else values
    mean, std = values.mean(axis=1), values.std(axis=1, ddof=min(1, values.shape[1] - 1))
    middle, low, high = (10**each if logarithmic else each for each in (mean, mean - std, mean + std))
    if is_theory:
        return panel.plot(alpha, middle, color=color, linewidth=1.4)[0]
    panel.plot(alpha, 10**values if logarithmic else values, color=color, linewidth=0.3, alpha=0.5)
    every = max(1, len(alpha) // 20)
    bars = np.stack([middle - low, high - middle])[:, ::every]
    return panel.errorbar(alpha[::every], middle[::every], bars, color=color, fmt="o", markersize=2.5, elinewidth=0.7)


def best_order(course: Course) -> np.ndarray:
    """The student nodes of each replicate, sorted by the teacher node nearest at the end, `[replicates, K]`."""
    from scipy.optimize import linear_sum_assignment

    orders = []
    for cosines in np.abs(course.cosines[-1]):
        students, teachers = linear_sum_assignment(-cosines)
        first = students[np.argsort(teachers)]
        orders.append(np.concatenate([first, np.setdiff1d(np.arange(len(cosines)), first)]))
    return np.stack(orders)


def in_order(course: Course, order: np.ndarray) -> Course:
    """A course with its student nodes in another order, `[replicates, K]`."""
    replicate = np.arange(len(order))[:, None]
    Q = course.Q[:, replicate[..., None], order[:, :, None], order[:, None, :]]
    return course._replace(Q=Q, R=course.R[:, replicate, order])


def sorted_nodes(course: Course) -> Course:
    """A course with its student nodes sorted by the teacher node nearest at the end, and turned towards it.

    A node is turned, w → −w, if it ends opposite to its teacher node (cosine below −½). Because erf is odd, a turned
    node with the other sign of its fan-out computes the same function.
    """
    ordered = in_order(course, best_order(course))
    sign = np.ones(ordered.R.shape[1:3])  # [replicates, K]
    paired = np.arange(min(ordered.R.shape[2:]))
    sign[:, paired] = np.where(ordered.cosines[-1][:, paired, paired] < -0.5, -1, 1)
    return ordered._replace(Q=ordered.Q * sign[:, :, None] * sign[:, None, :], R=ordered.R * sign[:, :, None])


def teacher_activation(run: Run) -> str:
    """The name of the teacher's activation."""
    return str(run.settings.get(f"{MODEL}.teacher.init_args.activation", "relu"))
