"""E3: evaluation loss per epoch, one panel per polarity and one curve per multiplier."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.style import (
    PRINT,
    ROUNDING,
    Canvas,
    Place,
    curve_style,
    footnotes,
    legend_above,
    marked,
    panel_title,
    whole_epochs,
    wrapped,
)
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("losses",)


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """log10 of the evaluation loss (mean over samples and outputs), mean ± standard deviation over seeds.

    Args:
        runs: Runs with the table `losses`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure. Losses below 1e-15 are rounding and drawn at 1e-15, and those that are not finite are left out; a
        note says both.
    """
    frame = collect(runs, "losses", [POLARITY])
    notes = [f"mean ± standard deviation over {seeds_in_words(frame)}", *unfinished(runs, "losses")]
    finite = np.isfinite(frame["val_mse"])
    if not finite.all():
        notes.append(f"{(~finite).sum()} of {len(frame)} losses are not finite and left out")
    frame = frame[finite]
    if (frame["val_mse"] < ROUNDING).any():
        notes.append(f"losses below {ROUNDING:g} are rounding, and drawn there")
    frame = frame.assign(log_loss=np.log10(frame["val_mse"].clip(lower=ROUNDING)))
    by_polarity = frame.groupby("polarity", dropna=False)
    figure, panels = wrapped(by_polarity.ngroups, "epoch", r"$\log_{10}$ evaluation loss", figure=figure)
    handles: dict[str, Artist] = {}
    for panel, (polarity, in_panel) in zip(panels, by_polarity, strict=False):
        panel.set_title(panel_title(polarity))
        for index, name in enumerate(frame["curve"].cat.categories):
            by_epoch = in_panel[in_panel["curve"] == name].groupby("epoch")["log_loss"]
            if not by_epoch.ngroups:
                continue
            mean, std = by_epoch.mean(), by_epoch.std().fillna(0.0)
            style = curve_style(index)
            panel.fill_between(mean.index, mean - std, mean + std, color=style["color"], alpha=0.18, linewidth=0)
            (handles[name],) = panel.plot(mean.index, mean, label=name, markevery=marked(len(mean)), **style)
    whole_epochs(panels[0])
    legend_above(figure, {name: handles[name] for name in frame["curve"].cat.categories if name in handles})
    footnotes(figure, notes)
    return figure
