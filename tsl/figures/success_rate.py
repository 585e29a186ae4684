"""E2: the success rate of each teacher node, with one panel per polarity and one colour per multiplier."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas.api.typing import SeriesGroupBy

from tsl.figures.curves import collect, missing_epoch, seeds_in_words, unfinished
from tsl.figures.style import PRINT, Canvas, Place, curve_style, footnotes, legend_above, panel_title, wrapped
from tsl.names import NODE_RECOVERED, RECOVERED
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("teacher_nodes",)

FEW_SEEDS = 30
"""Fractions of fewer seeds than this are drawn with intervals."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], early_epoch: int = 5, figure: Place | None = None) -> Canvas:
    """Success rate at 0.95 of each teacher node on evaluation inputs, early in training and at its end.

    Args:
        runs: Runs with the table `teacher_nodes`.
        early_epoch: The epoch with dotted lines; each run's last epoch has solid lines.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with a panel for each polarity (and layer, if there are several). A note names the runs whose
        records lack the early epoch.
    """
    frame = collect(runs, "teacher_nodes", [POLARITY], epochs=[0, early_epoch])
    frame = frame[frame["split"] == "val"]
    notes = [f"fraction of {seeds_in_words(frame)}, evaluation inputs", *unfinished(runs, "teacher_nodes")]
    notes += missing_epoch(runs, "teacher_nodes", early_epoch)
    notes += _null_level(frame)
    last_epochs = frame.groupby("group")["epoch"].transform("max")
    several_layers = frame["layer"].nunique() > 1
    by_panel = frame.groupby(["polarity", "layer"], dropna=False)
    figure, panels = wrapped(
        by_panel.ngroups, "teacher node $j$", rf"success rate ($\rho^*_j > {RECOVERED}$)", figure=figure
    )
    handles: dict[str, Artist] = {}
    phases: dict[str, Artist] = {}
    early_name = f"after {early_epoch} epochs"
    for panel, ((polarity, layer), in_panel) in zip(panels, by_panel, strict=False):
        panel.set_title(panel_title(polarity, layer if several_layers else None))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 5, 10]))
        for index, name in enumerate(frame["curve"].cat.categories):
            curve = in_panel[in_panel["curve"] == name]
            at_end = curve[curve["epoch"] == last_epochs[curve.index]]
            # later curves have smaller markers, so that earlier curves at the same values stay visible
            style = curve_style(index) | {"markersize": max(5.5 - index, 3)}
            early_style: dict[str, Any] = {"linestyle": ":", "markerfacecolor": "white"}
            end_style: dict[str, Any] = {"linestyle": "-"}
            for rows, phase, handle in (
                (curve[curve["epoch"] == early_epoch], early_style, early_name),
                (at_end, end_style, "last recorded epoch"),
            ):
                by_node = rows.groupby("node")[NODE_RECOVERED]
                rate = by_node.mean()
                if len(rate):
                    phases[handle] = Line2D([], [], color="0.3", marker="o", **phase)
                    if by_node.count().max() < FEW_SEEDS:
                        panel.vlines(rate.index, *intervals(by_node).T, color=style["color"], alpha=0.4, linewidth=1.5)
                    panel.plot(rate.index, rate, clip_on=False, label=name, **style | phase)
                    handles[name] = Line2D([], [], **style | end_style)
    panels[0].set_ylim(-0.03, 1.03)
    handles = {name: handles[name] for name in frame["curve"].cat.categories if name in handles}
    legend_above(figure, handles | phases)
    if frame.groupby(["curve", "polarity"], observed=True, dropna=False)["seed"].nunique().min() < FEW_SEEDS:
        notes.append(f"bars: 95 % Wilson interval, if there are fewer than {FEW_SEEDS} seeds")
    footnotes(figure, notes)
    return figure


def intervals(by_node: SeriesGroupBy) -> np.ndarray:
    """The 95 % Wilson interval of the fraction of seeds that recover each node, `[nodes, 2]`: low, high."""
    from scipy.stats import binomtest  # slow to import, and figures of many seeds do not need it

    counts = zip(by_node.sum(), by_node.count(), strict=True)
    return np.array([binomtest(int(found), int(seeds)).proportion_ci(method="wilson") for found, seeds in counts])


def _null_level(frame: pd.DataFrame) -> list[str]:
    """A note on the fraction that untrained students recover, from the least to the largest curve, if recorded."""
    untrained = frame[frame["epoch"] == 0].groupby(["curve", "polarity"], observed=True, dropna=False)
    rates = [f"{rate:.1%}" for rate in sorted(untrained[NODE_RECOVERED].mean())]
    return [f"null level (untrained students): {' to '.join(dict.fromkeys((rates[0], rates[-1])))}"] if rates else []
