"""The common style of all figures: print sizes, and curves that differ in colour, marker and line style."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from tsl.errors import InputError

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours without yellow, which is hard to see on white paper (https://jfly.uni-koeln.de/color/)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", "-.", ":")

SEQUENCE = LinearSegmentedColormap.from_list("seeds", mpl.colormaps["viridis"]([x / 20 for x in range(18)]))
"""The colour map viridis without its palest end."""

HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0, "#8c3d00"), (0.25, "#d55e00"), (0.5, "white"), (0.75, "#4b9fd0"), (1, "#003f66")]
)
"""Correlations from −1 (orange) over 0 (white) to 1 (blue), as in the report."""

ROUNDING = 1e-15
"""Losses below this are rounding, and are drawn at this value."""

LEGEND_ENTRIES = {"untrained": "null level: untrained student", "shuffled": "null level: shuffled inputs"}
NULL_LEVELS: dict[str, dict[str, Any]] = {
    "untrained": {"linestyle": (0, (7, 3)), "linewidth": 0.7},
    "shuffled": {"linestyle": (0, (1, 1.5)), "linewidth": 1.1},
}
"""The line styles of the two null levels: long dashes and dots, both without markers."""

PRINT: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}
"""Matplotlib settings for drawing and saving figures; font type 42 keeps the text of a PDF searchable."""


Shared = Literal["all", "col", "row", "none"]
Canvas = Figure | SubFigure
Place = Canvas | Axes
"""Where a figure may be drawn: axes give their place to a subfigure, because a figure may have several panels."""

SIZE_IS_CHOSEN = "its size is chosen"
"""The label of figures that do not grow with their legends and notes."""


def grid(
    rows: int,
    columns: int,
    height: float,
    share_y: Shared,
    share_x: Shared = "all",
    figure: Place | None = None,
) -> tuple[Canvas, list[list[Axes]]]:
    """An empty figure of panels, or empty panels in an existing figure.

    Args:
        rows: Rows of panels.
        columns: Columns of panels; up to five make a figure no wider than a page's text.
        height: Height of a panel, in inches.
        share_y: Which panels have the same y axis, as `sharey` of `Figure.subplots`.
        share_x: Which panels have the same x axis.
        figure: The figure, subfigure or axes to draw into; a figure keeps its size, and axes are replaced by a
            subfigure. The layout should be "constrained".

    Returns:
        The figure or subfigure, and its panels by row and column.

    Raises:
        InputError: If axes are given that are not in a grid.
    """
    if figure is None:
        width = {1: 3.5, 2: 5.0}.get(columns, max(6.75, 1.35 * columns))
        figure = Figure(figsize=(width, height * rows + 0.35), layout="constrained")
    elif isinstance(figure, Figure):
        figure.set_label(SIZE_IS_CHOSEN)
    elif isinstance(figure, Axes):
        figure = _instead_of(figure)
    panels = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False)
    return figure, panels.tolist()


def _instead_of(axes: Axes) -> SubFigure:
    """A subfigure in the place of axes, which are removed; raises an InputError if they are not in a grid."""
    place = axes.get_subplotspec()
    if place is None:
        raise InputError("axes were given that are not in a grid; expected some made with `subplots`")
    figure = axes.figure
    axes.remove()
    return figure.add_subfigure(place)


def wrapped(count: int, x_label: str, y_label: str, figure: Place | None = None) -> tuple[Canvas, list[Axes]]:
    """An empty figure of `count` panels, at least one, three to a row, with the same axes; see `grid`."""
    columns = 2 if count == 4 else max(1, min(count, 3))
    figure, rows = grid(max(1, -(-count // columns)), columns, 1.8, share_y="all", figure=figure)
    panels = [panel for row in rows for panel in row]
    for panel in panels[max(count, 1) :]:
        panel.remove()
    panels = panels[: max(count, 1)]
    for panel in panels[-columns:]:
        panel.set_xlabel(x_label)
        panel.tick_params(labelbottom=True)
    for panel in panels[::columns]:
        panel.set_ylabel(y_label)
    return figure, panels


def whole_epochs(panel: Axes) -> None:
    """Put ticks at whole epochs only, on this panel and those that share its x axis."""
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def node_ticks(nodes: int) -> list[int]:
    """The tick positions of an axis of nodes 1 to `nodes`: the first node, and at most six round numbers.

    >>> node_ticks(10)
    [1, 2, 4, 6, 8, 10]
    >>> node_ticks(125)
    [1, 50, 100]
    """
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if nodes <= 6 * step)
    return sorted({1, *range(step, nodes + 1, step)})


def curve_style(index: int) -> dict[str, Any]:
    """Colour, marker and line style of a curve by its number, counted from 0.

    The first 28 differ in marker or line style, and the first 49 in colour or marker.
    """
    return {
        "color": PALETTE[(index + index // len(MARKERS)) % len(PALETTE)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
    }


def marked(points: int) -> list[int]:
    """The points of a curve that have markers: all, or six at equal distances if there are more than 20.

    >>> marked(4), marked(101)
    ([0, 1, 2, 3], [0, 20, 40, 60, 80, 100])
    """
    return list(range(points)) if points <= 20 else [round(part * (points - 1) / 5) for part in range(6)]


def legend_above(figure: Canvas, handles: Mapping[str, Artist], title: str | None = None) -> None:
    """Draw a legend above all panels, in as many columns as fit, so that it hides no data."""
    if not handles:
        return
    widths = [0.55 + 0.06 * len(name) for name in handles]  # inches
    width = _inches_wide(figure)
    columns = len(widths) if sum(widths) <= width else max(1, int(width / max(widths)))
    rows = -(-len(widths) // columns) + (title is not None)
    _grow(figure, 0.16 * rows + 0.1)
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": columns, "handlelength": 3}
    figure.legend(handles.values(), handles.keys(), title=title, title_fontsize=8, **place)


def panel_title(polarity: Any, layer: Any = None) -> str:
    """The title of a panel: its polarity if there is one (not NaN), and its layer if given."""
    words = [rf"polarity $p = {polarity:g}$"] if polarity == polarity else []
    return ", ".join(words + ([f"layer {layer}"] if layer is not None else []))


def footnotes(figure: Canvas, notes: Sequence[str]) -> None:
    """Write notes below the panels."""
    width = int(16 * _inches_wide(figure))  # characters
    lines = [line for note in dict.fromkeys(notes) for line in textwrap.wrap(note, width)]
    _grow(figure, 0.13 * len(lines))
    figure.supxlabel("\n".join(lines), fontsize=7, x=0.02, ha="left", style="italic", parse_math=False)


def _inches_wide(figure: Canvas) -> float:
    return float(figure.bbox.width / figure.dpi)


def _grow(figure: Canvas, inches: float) -> None:
    """Make a figure higher; in a figure of chosen size, and in a subfigure, the panels become smaller instead."""
    if isinstance(figure, Figure) and figure.get_label() != SIZE_IS_CHOSEN:
        figure.set_figheight(figure.get_figheight() + inches)
