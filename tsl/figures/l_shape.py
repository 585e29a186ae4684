"""E1 and E7: strength of each student node against its best correlation; the "L" of over-realized students."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsl.errors import InputError
from tsl.figures.runs import Run, collect, missing_epoch, seeds_in_words, unfinished
from tsl.figures.style import PRINT, SEQUENCE, footnotes, grid, panel_title

TABLE = "student_nodes"


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], epochs: Sequence[int] | None = None) -> Figure:
    """A point for every student node and seed.

    Of one epoch, a row of panels per multiplier and a column per polarity and layer; of several, a row per multiplier,
    polarity and layer, and a column per epoch.

    Args:
        runs: Runs with the table `student_nodes`. Correlations on training inputs are drawn if all runs have them.
        epochs: The epochs drawn; each run's last one if None, all that are recorded if empty.

    Returns:
        The figure. A note names the runs whose records lack an epoch.

    Raises:
        InputError: If no run has one of the epochs.
    """
    frame = collect(runs)
    in_training = frame[frame["split"] == "train"]
    on_training_inputs = in_training["run"].nunique() == len(runs)
    frame = in_training if on_training_inputs else frame[frame["split"] == "val"]
    notes = [f"a colour for each of {seeds_in_words(frame)}", *unfinished(runs)]
    recorded = sorted(frame["epoch"].unique().tolist())
    epochs = recorded if epochs is not None and not epochs else epochs
    for epoch in epochs or []:
        notes += missing_epoch(runs, epoch)
        if epoch not in recorded:
            raise InputError(f"no run has records of epoch {epoch}; recorded are {recorded}")
    if epochs is None:
        frame = frame[frame["epoch"] == frame.groupby("run")["epoch"].transform("max")]
    else:
        frame = frame[frame["epoch"].isin(epochs)]

    several_layers = frame["layer"].nunique() > 1
    strength = r"$\sqrt{\mathrm{E}_x \beta_{kk}}$" if several_layers else r"$\|v_k\|$"
    curves = {name: frame["curve"] == name for name in frame["curve"].cat.categories}
    by_layer = {
        panel_title(polarity, layer if several_layers else None): frame["polarity"].isin([polarity])
        & (frame["layer"] == layer)
        for (polarity, layer), _ in frame.groupby(["polarity", "layer"], dropna=False)
    }
    if epochs is None or len(epochs) == 1:
        rows, columns = {f"{name}\n{strength}": chosen for name, chosen in curves.items()}, by_layer
    else:
        rows = {
            "\n".join(filter(None, [name, title, strength])): of_curve & of_layer
            for name, of_curve in curves.items()
            for title, of_layer in by_layer.items()
        }
        columns = {f"epoch {epoch}": frame["epoch"] == epoch for epoch in epochs}
    share_y: Any = "row" if epochs is not None and len(epochs) > 1 else "col" if several_layers else "all"
    figure, panels = grid(len(rows), len(columns), 1.45, share_y)
    for row, (label, in_row) in zip(panels, rows.items(), strict=True):
        for panel, in_column in zip(row, columns.values(), strict=True):
            _scatter(panel, frame[in_row & in_column])
        row[0].set_ylabel(label)
    for panel, title in zip(panels[0], columns, strict=True):
        panel.set_title(title)
        panel.set_ylim(bottom=0)
        panel.set_xlim(min(-0.02, frame["best_correlation"].min()), 1.02)
    for row in panels:  # only now: a limit that is set stops the panels that share it from growing
        row[0].set_ylim(bottom=0)
    inputs = "training" if on_training_inputs else "evaluation"
    for panel in panels[-1]:
        panel.set_xlabel(f"$\\mathrm{{max}}_j\\;\\rho_{{jk}}$\n({inputs} inputs)")
    footnotes(figure, notes)
    return figure


def _scatter(panel: Axes, points: pd.DataFrame) -> None:
    seed_rank = points["seed"].rank(method="dense")
    style: dict[str, Any] = {"cmap": SEQUENCE, "s": 8, "linewidths": 0, "alpha": 0.8, "clip_on": False}
    panel.scatter(points["best_correlation"], points["strength"], c=seed_rank, **style)
