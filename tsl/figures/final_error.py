"""T2: the final error of over-realized students against their width, if the teacher's outputs are noisy."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from tsl.figures.style import MARKERS, PALETTE, PRINT, Canvas, Place, footnotes, grid, legend_above
from tsl.figures.theory_lines import learning_rates, noise_stds, recorded_course, theory_of
from tsl.runs import Run

TABLES = ("overlaps", "output_weights", "losses")

LAST = 0.25
"""The last share of a run's evaluations, over which the final loss is averaged, because online learning fluctuates."""


def late_loss(loss: np.ndarray) -> np.ndarray:
    """The mean over the last `LAST` of the times, `[replicates]` from `[times, replicates]`."""
    return loss[-max(1, int(len(loss) * LAST)) :].mean(axis=0)


def final_errors(runs: Sequence[Run]) -> pd.DataFrame:
    """A row for each replicate: `students` K, `teachers` M, `rate` η, `noise` σ, final `loss`, and that of `theory`."""
    frames = []
    for run in runs:
        simulated = recorded_course(run)
        solved = theory_of(run, simulated.alpha)
        K, M = simulated.R.shape[-2:]
        columns = {
            "rate": learning_rates(run)[0],
            "noise": noise_stds(run),
            "loss": late_loss(simulated.loss),
            "theory": late_loss(solved.loss),
        }
        frames.append(pd.DataFrame(columns).assign(students=K, teachers=M))
    return pd.concat(frames, ignore_index=True)


def at_small_rates(rate: float, noise: float, students: np.ndarray, teachers: int) -> np.ndarray:
    """(η σ² / 2π) (K − M + M/√3): the final error of erf committees for η → 0 (Goldt et al. 2019, arXiv 1906.08632)."""
    return rate * noise**2 / (2 * math.pi) * (students - teachers + teachers / math.sqrt(3))


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """A panel for each standard deviation of the noise: final error against K, with a colour for each learning rate.

    Points are the mean over replicates with its standard deviation. Solid lines are the solution of the equations of
    learning from the replicates' own first overlaps, at the same times. Dotted lines are the limit of small learning
    rates.

    Args:
        runs: Runs of two-layer students with the tables `overlaps` and `output_weights`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.
    """
    frame = final_errors(runs)
    noises = sorted(frame["noise"].unique())
    figure, (panels,) = grid(1, len(noises), 2.2, share_y="all", figure=figure)
    handles: dict[str, Any] = {}
    for panel, noise in zip(panels, noises, strict=True):
        for number, (rate, rows) in enumerate(frame[frame["noise"] == noise].groupby("rate")):
            by_width = rows.groupby("students")[["loss", "theory"]].agg(["mean", "std"])
            width, color = by_width.index.to_numpy(), PALETTE[number % len(PALETTE)]
            mean, std = by_width["loss", "mean"], by_width["loss", "std"].fillna(0)
            points = panel.errorbar(
                width, mean, std, color=color, fmt=MARKERS[number % len(MARKERS)], elinewidth=0.7, linestyle="none"
            )
            handles[rf"$\eta = {rate:g}$"] = points
            (handles["theory"],) = panel.plot(width, by_width["theory", "mean"], color=color, marker="_")
            limit = at_small_rates(float(str(rate)), noise, width, int(rows["teachers"].iloc[0]))
            (handles[r"theory, $\eta \to 0$"],) = panel.plot(width, limit, color=color, marker="_", linestyle=":")
        panel.set_title(rf"$\sigma = {noise:g}$")
        panel.set_xlabel("student nodes $K$")
        panel.set_xticks(sorted(frame["students"].unique()))
        panel.set_yscale("log")
    panels[0].set_ylabel("final population loss")
    legend_above(figure, handles)
    footnotes(
        figure,
        [
            f"final: over the last {LAST:.0%} of the evaluations; points: mean ± standard deviation over replicates",
            "theory: at the same times, from the replicates' own first overlaps; dotted: the limit for erf students "
            "with output weights fixed at 1",
        ],
    )
    return figure
