"""Layer-wise alignment over training: ρ_mean and every other recorded measure, each with its null levels."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.style import (
    LEGEND_ENTRIES,
    NULL_LEVELS,
    PRINT,
    Canvas,
    Place,
    curve_style,
    footnotes,
    grid,
    legend_above,
    marked,
    whole_epochs,
)
from tsl.names import NULL
from tsl.runs import Run
from tsl.runs.records import COLUMNS

TABLES = ("layers",)


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """Each measure of each layer per epoch on validation data, mean ± standard deviation over seeds.

    Two null levels show which values are no better than chance. The horizontal line of long dashes is the value of the
    untrained student (epoch 0). The dotted curve is the value of the student against the teacher on shuffled inputs.

    Args:
        runs: Runs with the table `layers`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure: a row of panels for each measure, a column for each layer, a curve for each multiplier and other
        setting.
    """
    frame = collect(runs, "layers")
    frame = frame[frame["split"] == "val"]
    measures = ["rho_mean", *(name.removesuffix(NULL) for name in frame if is_asked_for(str(name), frame.columns))]
    layers = sorted(frame["layer"].unique())
    figure, panels = grid(len(measures), len(layers), 1.8, share_y="all", figure=figure)
    handles: dict[str, Artist] = {}
    for row, measure in zip(panels, measures, strict=True):
        row[0].set_ylabel(r"$\rho_{\mathrm{mean}}$" if measure == "rho_mean" else measure)
        for panel, layer in zip(row, layers, strict=True):
            panel.set_title(f"layer {layer}")
            for index, name in enumerate(frame["curve"].cat.categories):
                rows = frame[(frame["layer"] == layer) & (frame["curve"] == name)]
                mean = rows.groupby("epoch")[measure].mean()
                std = rows.groupby("epoch")[measure].std().fillna(0.0)
                style = curve_style(index)
                panel.fill_between(mean.index, mean - std, mean + std, color=style["color"], alpha=0.18, linewidth=0)
                (handles[name],) = panel.plot(mean.index, mean, label=name, markevery=marked(len(mean)), **style)
                if f"{measure}{NULL}" in rows:  # older records lack this column
                    shuffled = rows.groupby("epoch")[f"{measure}{NULL}"].mean()
                    panel.plot(shuffled.index, shuffled, color=style["color"], **NULL_LEVELS["shuffled"])
                if 0 in mean.index:
                    panel.axhline(mean[0], color=style["color"], **NULL_LEVELS["untrained"])
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    whole_epochs(panels[0][0])
    handles |= {LEGEND_ENTRIES[name]: Line2D([], [], color="0.3", **style) for name, style in NULL_LEVELS.items()}
    legend_above(figure, handles)
    notes = [f"mean ± standard deviation over {seeds_in_words(frame)}", *unfinished(runs, "layers")]
    footnotes(figure, notes)
    return figure


def is_asked_for(column: str, columns: Sequence[str]) -> bool:
    """Whether a column of `layers` is the null level of a measure other than ρ_mean."""
    measure = column.removesuffix(NULL)
    return column.endswith(NULL) and measure in columns and measure not in COLUMNS["layers"]
