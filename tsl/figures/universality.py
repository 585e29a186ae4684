"""What students of several seeds have in common: whether training finds the same nodes again."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from tsl.figures.curves import collect, groups_of, seeds_in_words, unfinished
from tsl.figures.style import PRINT, Canvas, Place, curve_style, footnotes, grid, legend_above
from tsl.intervals import jackknife
from tsl.names import RECOVERED
from tsl.runs import Run

TABLES = ("seed_pairs", "seed_nodes")
THRESHOLDS = np.linspace(0.5, 0.99, 50)


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """A column for each layer: the similarity of pairs of seeds, and the share of nodes found in every other seed.

    The upper panel has the mean correlation of nodes matched one to one: a pale point for each pair of seeds, and their
    mean, with a 95 % interval over seeds if there are more than two. The lower panel has the share of nodes whose best
    correlation with each other seed is above a threshold, with the interval at 0.95. Null levels, from shuffled inputs,
    are dotted; untrained networks are crosses.

    Args:
        runs: Runs with the tables `seed_pairs` and `seed_nodes`.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, at each run's last recorded epoch. Only replicates of the same settings are compared.
    """
    pairs, nodes = (_within_groups(collect(runs, table), runs) for table in TABLES)
    layers = sorted(pairs["layer"].unique())
    figure, panels = grid(2, len(layers), 1.9, share_y="row", share_x="none", figure=figure)
    handles = {}
    names = list(pairs["curve"].cat.categories)
    no_interval = []
    for column, layer in enumerate(layers):
        above, below = panels[0][column], panels[1][column]
        for index, name in enumerate(names):
            style = curve_style(index)
            of_pairs, of_nodes = (
                frame[(frame["layer"] == layer) & (frame["curve"] == name)] for frame in (pairs, nodes)
            )
            if of_pairs.empty:
                continue
            trained = _last(of_pairs)
            value, low, high = pair_mean(trained)
            no_interval.append(bool(np.isnan(low)))
            spread = np.linspace(-0.2, 0.2, len(trained)) + index
            above.plot(spread, trained["one_to_one"], ".", color=style["color"], alpha=0.3, markersize=3)
            above.errorbar(
                index, value, [[value - low], [high - value]], color="k", marker=style["marker"], capsize=3, zorder=3
            )
            above.annotate(f"{value:.2f}", (index, value), xytext=(7, 3), textcoords="offset points", fontsize=7)
            above.hlines(trained["one_to_one_null"].mean(), index - 0.3, index + 0.3, color=style["color"], ls=":")
            untrained = of_pairs[of_pairs["epoch"] == 0]
            above.plot([index], [untrained["one_to_one"].mean()], "x", color=style["color"])
            last = _last(of_nodes)
            for source, line in (("best_correlation", "-"), ("best_correlation_null", ":")):
                least = _least(last, source)
                below.plot(
                    THRESHOLDS, [(least > threshold).mean() for threshold in THRESHOLDS], line, color=style["color"]
                )
            share, low, high = found_in_every_seed(last)
            below.errorbar(
                RECOVERED, share, [[share - low], [high - share]], color="k", marker=style["marker"], capsize=3
            )
            handles[name] = Line2D([], [], color=style["color"], marker=style["marker"])
        # The legend names the settings, because their names can be too long for ticks.
        above.set(title=f"layer {layer}", xlabel="each setting", xticks=[], xlim=(-0.5, len(names) - 0.5))
        above.set_ylim(min(0.0, above.get_ylim()[0]), 1.02)
        below.set(xlabel=r"threshold $\theta$", ylim=(-0.03, 1.03))
    panels[0][0].set_ylabel("matched correlation\nof two seeds")
    panels[1][0].set_ylabel("nodes found in\nevery other seed")
    handles["null level"] = Line2D([], [], color="0.3", linestyle=":")
    handles["untrained"] = Line2D([], [], color="0.3", marker="x", linestyle="")
    legend_above(figure, handles)
    bars = "no interval, which takes three seeds" if all(no_interval) else "bars: 95 % interval (jackknife over seeds)"
    notes = [f"pale: each pair of seeds; black: mean over {seeds_in_words(nodes)}; {bars}"]
    footnotes(figure, [*notes, "constant nodes are left out", *unfinished(runs, "seed_pairs")])
    return figure


def pair_mean(pairs: pd.DataFrame) -> tuple[float, float, float]:
    """The mean matched correlation over pairs of seeds, and its 95 % interval over seeds; NaN for two seeds."""
    sides = pairs[["group", "replicate"]], pairs[["group", "other_replicate"]]
    first, second = (list(map(tuple, side.to_numpy())) for side in sides)
    values = pairs["one_to_one"].to_numpy()
    without = [
        values[[seed not in pair for pair in zip(first, second, strict=True)]]
        for seed in dict.fromkeys([*first, *second])
    ]
    means = [float(kept.mean()) for kept in without if len(kept)]
    return float(values.mean()), *jackknife(float(values.mean()), means, least=-1.0)


def found_in_every_seed(nodes: pd.DataFrame, threshold: float = RECOVERED) -> tuple[float, float, float]:
    """The share of nodes with a correlation above a threshold in each other seed, and its 95 % interval over seeds."""
    share = float((_least(nodes) > threshold).mean())
    without = []
    for (group, seed), _ in nodes.groupby(["group", "replicate"]):
        gone = (nodes["group"] == group) & ((nodes["replicate"] == seed) | (nodes["other_replicate"] == seed))
        if len(left := _least(nodes[~gone])):
            without.append(float((left > threshold).mean()))
    return share, *jackknife(share, without, least=0.0)


def _least(nodes: pd.DataFrame, column: str = "best_correlation") -> pd.Series:
    """The least of each node's best correlations with the other seeds."""
    return nodes.groupby(["group", "replicate", "node"])[column].min()


def _within_groups(frame: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """The rows of replicates that have the same settings."""
    members = {index: set(group.seeds) for index, group in enumerate(groups_of(runs))}
    same = [other in members[group] for group, other in zip(frame["group"], frame["other_replicate"], strict=True)]
    return frame[same]


def _last(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of each run's last recorded epoch."""
    return frame[frame["epoch"] == frame.groupby("group")["epoch"].transform("max")]
