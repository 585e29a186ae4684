"""The share of teacher nodes recovered against the training size, and how the size that recovery needs grows."""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsl.figures.style import PRINT, curve_style, footnotes, legend_above
from tsl.names import RECOVERED
from tsl.theory.tipping_point import Growth, TippingPoint


@mpl.rc_context(PRINT)
def draw(
    shares: pd.DataFrame,
    points: Mapping[float, TippingPoint],
    level: float,
    axis: str = "",
    fit: Growth | None = None,
    bounds: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """The curve of each value with its tipping point and, if there is a fit, the tipping points against the values.

    Args:
        shares: A row for each `value` of the axis (NaN if none is varied), `train_size` and `replicate`, with the
            `share` of teacher nodes recovered.
        points: The tipping point of each value.
        level: The share of recovered teacher nodes that defines a tipping point.
        axis: The name of the axis that has these values; empty if none is varied.
        fit: The power law fitted to the tipping points.
        bounds: Sample sizes of theory for each value of `points`, by name; only their growth is drawn.

    Returns:
        The figure. Tipping points that are not enclosed by the sizes measured are left out.
    """
    figure = Figure(figsize=(6.75 if fit else 3.5, 2.6), layout="constrained")
    panels = figure.subplots(1, 2 if fit else 1, squeeze=False)[0]
    handles: dict[str, Artist] = {}
    for index, (value, point) in enumerate(points.items()):
        style = curve_style(index)
        here = shares[shares["value"].isna() if math.isnan(value) else shares["value"] == value]
        by_size = here.groupby("train_size")["share"]
        error = by_size.std() / np.sqrt(by_size.count())
        name = f"{axis} = {value:g}" if axis else "mean over replicates"
        handles[name] = panels[0].errorbar(by_size.mean().index, by_size.mean(), error, label=name, **style)
        if point.found:
            low, high = _within(point, by_size.mean().index)
            panels[0].axvspan(low, high, color=style["color"], alpha=0.15, linewidth=0)
            panels[0].axvline(point.size, color=style["color"], linewidth=0.8, linestyle=":")
    panels[0].axhline(level, color="0.4", linewidth=0.8, linestyle=":")
    panels[0].set(xscale="log", ylim=(-0.03, 1.03), xlabel="training size $N$", ylabel="teacher nodes recovered")
    if fit is not None:
        handles |= _draw_growth(panels[1], shares, points, axis, fit, bounds or {})
    legend_above(figure, handles)
    replicates = shares["replicate"].nunique()
    notes = [
        f"recovered: best correlation above {RECOVERED} on evaluation inputs, mean ± standard error of {replicates} "
        f"replicates; N*: the size at which the curve crosses {level:.0%}, with its 95 % bootstrap interval"
    ]
    if fit is not None and bounds:
        notes.append(
            "theorem: growth of the sufficient number of samples, with augmented ones; its constant is unknown"
        )
    footnotes(figure, notes)
    return figure


def _draw_growth(
    panel: Axes,
    shares: pd.DataFrame,
    points: Mapping[float, TippingPoint],
    axis: str,
    fit: Growth,
    bounds: Mapping[str, Sequence[float]],
) -> dict[str, Artist]:
    """Draw the tipping points with their intervals, the fit, and the growth of theory from the first point on."""
    handles: dict[str, Artist] = {}
    known = {value: point for value, point in points.items() if point.found}
    for index, (value, point) in enumerate(points.items()):
        if value in known:
            low, high = _within(point, shares.loc[shares["value"] == value, "train_size"])
            style = curve_style(index) | {"linestyle": "none"}
            panel.errorbar(value, point.size, [[point.size - low], [high - point.size]], capsize=2, **style)
    values = np.array(list(known))
    name = f"fit, exponent {fit.exponent:.2f} ± {fit.standard_error:.2f}"
    (handles[name],) = panel.plot(values, np.exp(fit.intercept) * values**fit.exponent, color="0.2", label=name)
    first = list(points).index(values[0])
    for line_style, (name, of_values) in zip(("--", "-.", ":"), bounds.items(), strict=False):
        scaled = np.array(of_values) * known[values[0]].size / of_values[first]
        (handles[name],) = panel.plot(list(points), scaled, color="0.6", linestyle=line_style, linewidth=0.9)
    panel.set(xscale="log", yscale="log", xlabel=axis, ylabel="tipping point $N^*$")
    panel.set_xticks(list(points), [f"{value:g}" for value in points])
    panel.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    return handles


def _within(point: TippingPoint, sizes: pd.Index | pd.Series) -> tuple[float, float]:
    """The interval, cut off at the smallest and the largest measured size."""
    return max(point.low, sizes.min()), min(point.high, sizes.max())
