"""The epoch when each teacher node is recovered, against its fan-out strength."""

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from tsl.figures.curves import collect, seeds_in_words, unfinished
from tsl.figures.style import (
    PRINT,
    SIZE_IS_CHOSEN,
    Canvas,
    Place,
    curve_style,
    footnotes,
    grid,
    legend_above,
    panel_title,
)
from tsl.names import NODE_RECOVERED, RECOVERED
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("teacher_nodes",)

INTERVAL = "95 % confidence interval (Student's t, cut off at −1 and 1)"
"""The words for the interval of `confidence` in the notes below a figure."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """Epoch of first recovery against strength, and the rank correlation of the two.

    A teacher node that a run does not recover is censored: its recovery would be later than the last recorded epoch. It
    is drawn above the dashed line, and ranked after all others.

    Args:
        runs: Runs with the table `teacher_nodes`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with a row for each polarity (and layer, if there are several). The left panel has a pale point for
        every node and seed, and for every node a mark at the medians over seeds. The right panel has Spearman's rank
        correlation in each seed, and their mean with its 95 % confidence interval.
    """
    frame = collect(runs, "teacher_nodes", [POLARITY])
    recoveries = recovery_epochs(frame)
    by_row = recoveries.groupby(["polarity", "layer"], dropna=False)
    several_layers = recoveries["layer"].nunique() > 1
    figure, panels = grid(by_row.ngroups, 2, 2.0, share_y="none", share_x="none", figure=figure)
    if isinstance(figure, Figure) and figure.get_label() != SIZE_IS_CHOSEN:
        figure.set_figwidth(6.75)
    last = int(recoveries["last_epoch"].max())
    handles: dict[str, Artist] = {}
    undefined = 0
    for (left, right), ((polarity, layer), in_row) in zip(panels, by_row, strict=True):
        left.set_title(panel_title(polarity, layer if several_layers else None))
        _set_axes(left, last, in_row["strength"])
        correlations = rank_correlations(in_row)
        undefined += int(correlations["rank_correlation"].isna().sum())
        for index, name in enumerate(recoveries["curve"].cat.categories):
            of_curve = in_row[in_row["curve"] == name]
            if len(of_curve):
                handles[name] = _draw_recoveries(left, of_curve, last, index)
        draw_correlations(right, correlations)
    strength = r"$\sqrt{\mathrm{E}_x \beta^\circ_{jj}}$" if several_layers else r"$\|v^\circ_j\|$"
    panels[-1][0].set_xlabel(f"fan-out strength {strength}")
    legend_above(figure, {name: handles[name] for name in recoveries["curve"].cat.categories if name in handles})
    notes = [
        f"{seeds_in_words(frame)}, evaluation inputs; pale: each seed, marks: medians; above the dashed line: not "
        "recovered by the last epoch, ranked after all others (hollow: in most seeds); right: Spearman's rank "
        f"correlation in each seed, and the mean with its {INTERVAL}; −1: the strongest nodes come first; the axis of "
        "epochs is linear up to 1 and logarithmic above"
    ]
    if undefined:
        notes.append(f"{undefined} rank correlations are undefined and left out (all nodes at the same epoch, or none)")
    footnotes(figure, [*notes, *unfinished(runs, "teacher_nodes")])
    return figure


def recovery_epochs(frame: pd.DataFrame) -> pd.DataFrame:
    """The epoch when each teacher node is first recovered at 0.95 on evaluation inputs.

    Args:
        frame: Rows of the table `teacher_nodes`, from `tsl.figures.curves.collect`.

    Returns:
        A row for each group, replicate, layer and node, with `curve`, `polarity`, `seed`, `strength`, `last_epoch` (the
        last recorded epoch) and `epoch` (that of its first recovery, or infinity if it is never recovered).
    """
    frame = frame[frame["split"] == "val"].sort_values("epoch", kind="stable")
    keys = ["group", "replicate", "layer", "node"]
    nodes = frame.drop_duplicates(keys)[[*keys, "curve", "polarity", "seed", "strength"]]
    first = frame[frame[NODE_RECOVERED]].drop_duplicates(keys)[[*keys, "epoch"]]
    nodes = nodes.merge(first, on=keys, how="left").fillna({"epoch": np.inf})
    return nodes.join(frame.groupby("group")["epoch"].max().rename("last_epoch"), on="group").sort_values(keys)


def rank_correlations(recoveries: pd.DataFrame, column: str = "epoch") -> pd.DataFrame:
    """Spearman's rank correlation of strength and another column, for each replicate.

    Args:
        recoveries: The rows of `recovery_epochs`. Nodes that are not recovered share the last rank.
        column: The other column; by default the epoch of first recovery.

    Returns:
        A row for each curve, polarity, layer and seed, with `rank_correlation`. For the epoch, −1 means that the
        strongest nodes come first. It is NaN if all nodes have the same value, for example if none is recovered.
    """
    from scipy import stats  # takes a second, and other figures do not need it

    keys = ["curve", "polarity", "layer", "seed"]
    rows = []
    for key, of_seed in recoveries.groupby(keys, observed=True, dropna=False):
        ranks = of_seed[column].rank(), of_seed["strength"].rank()
        constant = any(rank.nunique() < 2 for rank in ranks)
        correlation = np.nan if constant else float(stats.spearmanr(*ranks).statistic)
        rows.append(dict(zip(keys, key, strict=True)) | {"rank_correlation": correlation})
    frame = pd.DataFrame(rows)
    return frame.assign(curve=pd.Categorical(frame["curve"], recoveries["curve"].cat.categories, ordered=True))


def confidence(correlations: pd.Series) -> tuple[float, float, float]:
    """The mean rank correlation over seeds, and the ends of its 95 % confidence interval.

    The interval is Student's, cut off at −1 and 1; its ends are NaN for fewer than two seeds.
    """
    from scipy import stats  # see rank_correlations

    known = correlations.dropna()
    mean = float(known.mean())
    if len(known) < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.sem())
    return mean, max(mean - half, -1.0), min(mean + half, 1.0)


def _draw_recoveries(panel: Axes, of_curve: pd.DataFrame, last: int, index: int) -> Artist:
    never = _never(last)
    style = curve_style(index) | {"linestyle": "none"}
    drawn = of_curve["epoch"].clip(upper=never)
    panel.plot(of_curve["strength"], drawn, **style | {"markersize": 2.5}, alpha=0.2, markeredgewidth=0, zorder=1)
    # In a median, seeds that never recover the node can count as infinite, which needs no assumption about them.
    medians = of_curve.groupby("node")[["strength", "epoch"]].quantile(0.5, "higher")
    found = np.isfinite(medians["epoch"])
    (marks,) = panel.plot(*medians[found].T.to_numpy(), **style, zorder=3, label=of_curve["curve"].iloc[0])
    panel.plot(medians.loc[~found, "strength"], [never] * (~found).sum(), **style, zorder=3, markerfacecolor="white")
    return marks


def draw_correlations(panel: Axes, correlations: pd.DataFrame) -> None:
    """Draw the rows of `rank_correlations`, with the mean of each curve and its confidence interval."""
    ticks = []
    for index, (name, of_curve) in enumerate(correlations.groupby("curve", observed=False)["rank_correlation"]):
        mean, low, high = confidence(of_curve)
        style = curve_style(index) | {"linestyle": "none"}
        spread = index + np.linspace(-0.25, 0.05, len(of_curve))
        panel.plot(spread, of_curve, **style | {"markersize": 2}, alpha=0.4, markeredgewidth=0)
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        panel.errorbar(index + 0.25, mean, error, **style, capsize=2.5, label=name)
        words = "undefined" if np.isnan(mean) else f"{mean:.2f}"
        words += "" if np.isnan(low) else f"\n[{low:.2f}, {high:.2f}]"
        ticks.append(f"{textwrap.fill(str(name), 14)}\n{words.replace('-', '−')}")
    panel.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
    panel.set_xticks(range(len(ticks)), ticks, fontsize=7)
    panel.set(xlim=(-0.6, len(ticks) - 0.4), ylim=(-1.05, max(0.1, panel.get_ylim()[1])))
    panel.set_ylabel("rank correlation")


def _set_axes(panel: Axes, last: int, strengths: pd.Series) -> None:
    panel.set_ylabel("epoch of first recovery\n" + rf"($\rho^*_j > {RECOVERED}$)")
    if strengths.max() > 5 * strengths.min() > 0:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
    panel.set_yscale("symlog", linthresh=1, linscale=0.3)
    panel.set_ylim(-0.1, 1.35 * _never(last))
    epochs = [epoch for decade in (1, 10, 100, 1000) for epoch in (decade, 2 * decade, 5 * decade) if epoch <= last]
    panel.set_yticks([0, *epochs, _never(last)], ["0", *map(str, epochs), "never"])
    panel.yaxis.set_minor_locator(NullLocator())
    panel.axhline((last * _never(last)) ** 0.5, color="0.4", linestyle="--", linewidth=0.8)


def _never(last: int) -> float:
    """The height at which nodes that are not recovered are drawn."""
    return 1.8 * max(last, 1)
