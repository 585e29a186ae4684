"""E9: how the best correlation of teacher nodes grows over epochs."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.artist import Artist

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.style import (
    PRINT,
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

TABLES = ("teacher_nodes",)


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """The mean of ρ*_j over teacher nodes and seeds per epoch; up to four curves have a band from least to largest.

    Args:
        runs: Runs with the table `teacher_nodes`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, on evaluation inputs, with a panel for each polarity (and layer, if there are several) and a curve
        for each multiplier and other setting.
    """
    frame = collect(runs, "teacher_nodes", [POLARITY])
    frame = frame[frame["split"] == "val"]
    bands = len(frame["curve"].cat.categories) <= 4  # more bands would hide each other
    several_layers = frame["layer"].nunique() > 1
    by_panel = frame.groupby(["polarity", "layer"], dropna=False)
    figure, panels = wrapped(by_panel.ngroups, "epoch", r"$\rho^*_j$", figure=figure)
    handles: dict[str, Artist] = {}
    for panel, ((polarity, layer), in_panel) in zip(panels, by_panel, strict=True):
        panel.set_title(panel_title(polarity, layer if several_layers else None))
        for index, name in enumerate(frame["curve"].cat.categories):
            by_epoch = in_panel[in_panel["curve"] == name].groupby("epoch")["best_correlation"]
            if not by_epoch.ngroups:
                continue
            mean, style = by_epoch.mean(), curve_style(index)
            if bands:
                least, most = by_epoch.min(), by_epoch.max()
                panel.fill_between(mean.index, least, most, color=style["color"], alpha=0.15, linewidth=0)
            (handles[name],) = panel.plot(mean.index, mean, label=name, markevery=marked(len(mean)), **style)
    whole_epochs(panels[0])
    legend_above(figure, {name: handles[name] for name in frame["curve"].cat.categories if name in handles})
    over = f"mean over teacher nodes and {seeds_in_words(frame)}"
    over += "; the band is from the least to the largest" if bands else ""
    footnotes(figure, [over, "evaluation inputs", *unfinished(runs, "teacher_nodes")])
    return figure
