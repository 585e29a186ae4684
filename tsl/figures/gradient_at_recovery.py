"""The gradient sup-norm when each teacher node is first recovered, against the node's fan-out strength."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.specialization_order import INTERVAL, draw_correlations, rank_correlations, recovery_epochs
from tsl.figures.style import PRINT, Canvas, Place, curve_style, footnotes, grid, legend_above, panel_title
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("teacher_nodes", "losses")

GRADIENT = "gradient_sup_norm"


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """The gradient sup-norm ‖g_1‖∞ at first recovery against strength, and the rank correlation of the two.

    Args:
        runs: Runs with the tables `teacher_nodes` and `losses`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with a row for each polarity. The left panel has a pale point for every node and seed, and a mark at
        the medians over seeds for every node that most seeds recover. The right panel has Spearman's rank correlation
        in each seed, and their mean with its 95 % confidence interval. Nodes that a seed does not recover are ranked as
        if recovered at a smaller gradient than all others; the note below has their number.
    """
    recoveries = at_first_recovery(runs)
    by_row = recoveries.groupby("polarity", dropna=False)
    figure, panels = grid(by_row.ngroups, 2, 1.8, share_y="none", share_x="none", figure=figure)
    handles: dict[str, Artist] = {}
    for (left, right), (polarity, in_row) in zip(panels, by_row, strict=True):
        left.set_title(panel_title(polarity))
        for index, name in enumerate(recoveries["curve"].cat.categories):
            of_curve = in_row[in_row["curve"] == name]
            style = curve_style(index) | {"linestyle": "none"}
            recovered = of_curve[of_curve[GRADIENT] > 0]
            pale = style | {"markersize": 2.5, "alpha": 0.2, "markeredgewidth": 0, "zorder": 1}
            left.plot(recovered["strength"], recovered[GRADIENT], **pale)
            medians = of_curve.groupby("node")[["strength", GRADIENT]].quantile(0.5, "lower")
            medians = medians[medians[GRADIENT] > 0]
            (handles[name],) = left.plot(medians["strength"], medians[GRADIENT], **style)
        left.set(yscale="log", ylabel="gradient sup-norm\nat first recovery")
        scaled: list[Axis] = [left.yaxis]
        if in_row["strength"].max() > 5 * in_row["strength"].min() > 0:
            left.set_xscale("log")
            scaled.append(left.xaxis)
        for axis in scaled:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        draw_correlations(right, rank_correlations(in_row, GRADIENT))
    panels[-1][0].set_xlabel(r"fan-out strength $\|v^\circ_j\|$")
    legend_above(figure, handles)
    never = int((recoveries[GRADIENT] == 0).sum())
    notes = [
        f"{seeds_in_words(recoveries)}, evaluation inputs; pale: each seed, marks: medians; right: Spearman's rank "
        f"correlation in each seed, and the mean with its {INTERVAL}; 1: the strongest nodes are "
        f"recovered at the largest gradients; {never} of {len(recoveries)} nodes of all seeds are never recovered: "
        "they are not on the left and are ranked last"
    ]
    footnotes(figure, [*notes, *unfinished(runs, "teacher_nodes")])
    return figure


def at_first_recovery(runs: Sequence[Run]) -> pd.DataFrame:
    """The gradient sup-norm on evaluation inputs at the epoch when each lowest-layer teacher node is first recovered.

    Args:
        runs: Runs with the tables `teacher_nodes` and `losses`.

    Returns:
        The rows of `recovery_epochs` for layer 1, with `gradient_sup_norm` (0 if the node is never recovered) and
        `share`: the sup-norm over the greatest sup-norm of the replicate at any epoch, epoch 0 included.
    """
    recoveries = recovery_epochs(collect(runs, "teacher_nodes", [POLARITY])).query("layer == 1")
    losses = collect(runs, "losses", [POLARITY])[["group", "replicate", "epoch", GRADIENT]]
    losses = losses.astype({"epoch": float})  # like epochs of recovery, which may be infinite
    frame = recoveries.merge(losses, on=["group", "replicate", "epoch"], how="left").fillna({GRADIENT: 0.0})
    greatest = losses.groupby(["group", "replicate"])[GRADIENT].max().rename("greatest")
    frame = frame.join(greatest, on=["group", "replicate"])
    return frame.assign(share=frame[GRADIENT] / frame["greatest"]).drop(columns="greatest")


def never_recovered(recoveries: pd.DataFrame) -> str:
    """The nodes that some seeds do not recover, in words: "node 7 (3 of 16 seeds), nodes 8 to 20 (16)", or "none".

    Args:
        recoveries: The rows of `at_first_recovery` for replicates with the same settings.
    """
    counts = (recoveries[GRADIENT] == 0).groupby(recoveries["node"]).sum()
    counts = counts[counts > 0]
    runs_of_nodes = (np.diff(counts.index, prepend=-1) != 1) | (counts.diff() != 0)
    words: list[str] = []
    for _, of_nodes in counts.groupby(runs_of_nodes.cumsum()):
        first, last, count = of_nodes.index[0], of_nodes.index[-1], of_nodes.iloc[0]
        of_seeds = "" if words else f" of {recoveries['seed'].nunique()} seeds"
        words.append((f"node {first}" if first == last else f"nodes {first} to {last}") + f" ({count}{of_seeds})")
    return ", ".join(words) or "none"
