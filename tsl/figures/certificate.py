"""The certificate over training: for each teacher node, the ε reached against the ε that the theorem grants."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.style import PALETTE, PRINT, Canvas, Place, footnotes, legend_above, wrapped
from tsl.runs import Run

TABLES = ("certificate",)

LEAST = 1e-17
"""The value at which an ε of 0 is drawn; it is below the rounding of float64."""

OUTCOMES: dict[str, dict[str, Any]] = {
    "certified": {"marker": "o", "color": PALETTE[0]},
    "vacuous": {"marker": "o", "color": PALETTE[0], "markerfacecolor": "none"},
    "conclusion fails": {"marker": "X", "color": PALETTE[1], "markersize": 5},
}
"""How the last epoch of each seed is marked."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """A panel per teacher node and setting, with a path per seed from before training to its last epoch.

    Args:
        runs: Runs with the table `certificate`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with logarithmic axes. The condition holds left of the dotted line, at a granted ε of 1. The
        conclusion holds below the dashed diagonal. Epochs without a finite ε, because no student node observes the
        teacher node, are left out, and a note counts them.
    """
    frame = collect(runs, "certificate")
    epsilons = ["granted_epsilon", "reached_epsilon"]
    drawable = np.isfinite(frame[epsilons]).all(axis=1)
    seeds = f"{seeds_in_words(frame)}, each from epoch {frame['epoch'].min()} (grey) to {frame['epoch'].max()} (marked)"
    notes = [seeds, *unfinished(runs, "certificate")]
    if not drawable.all():
        notes.append(
            f"{(~drawable).sum()} of {len(frame)} points have no finite ε (no student observes them) and are left out"
        )
    if (frame.loc[drawable, epsilons] < LEAST).any(axis=None):
        notes.append(f"an ε below {LEAST:.0e} is drawn at {LEAST:.0e}")
    frame = frame.assign(**frame[epsilons].clip(lower=LEAST))
    last = frame["epoch"] == frame.groupby("group")["epoch"].transform("max")
    of_panels = frame.groupby(["curve", "node"], observed=True)
    figure, panels = wrapped(of_panels.ngroups, "granted ε", "reached ε", figure=figure)
    handles: dict[str, Artist] = {}
    for panel, ((curve, node), in_panel) in zip(panels, of_panels, strict=True):
        shown = in_panel[drawable[in_panel.index]]
        for _, path in shown.groupby(["group", "replicate"]):
            panel.plot(*(path[name] for name in epsilons), color="0.6", linewidth=0.6, marker=".", markersize=1.5)
        handles |= _draw_outcomes(panel, shown[last[shown.index]])
        setting = f"{curve}\n" if frame["curve"].nunique() > 1 else ""
        panel.set_title(f"{setting}teacher node $j = {node}$")
        panel.set_xscale("log")
        panel.set_yscale("log")
    limits = frame.loc[drawable, epsilons].to_numpy()
    for panel in panels:
        _draw_lines(panel, float(limits.min(initial=0.1)), float(limits.max(initial=10)))
    legend_above(figure, {name: handles[name] for name in OUTCOMES if name in handles})
    footnotes(
        figure,
        ["the condition (granted ε < 1) holds left of the dotted line, the conclusion below the dashed line", *notes],
    )
    return figure


def outcomes(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Masks of the table's rows: certified, vacuous, or failing the conclusion; the other rows are unobserved nodes."""
    return {
        "certified": frame["condition"] & frame["conclusion"],
        "vacuous": frame["vacuous"],
        "conclusion fails": frame["condition"] & ~frame["conclusion"],
    }


def _draw_outcomes(panel: Axes, frame: pd.DataFrame) -> dict[str, Artist]:
    handles: dict[str, Artist] = {}
    for name, chosen in outcomes(frame).items():
        if chosen.any():
            values = frame.loc[chosen, "granted_epsilon"], frame.loc[chosen, "reached_epsilon"]
            (handles[name],) = panel.plot(*values, linestyle="none", zorder=3, label=name, **OUTCOMES[name])
    return handles


def _draw_lines(panel: Axes, least: float, most: float) -> None:
    panel.axvline(1.0, color="0.2", linestyle=":", linewidth=0.9)
    panel.plot([least, most], [least, most], color="0.2", linestyle="--", linewidth=0.9)
