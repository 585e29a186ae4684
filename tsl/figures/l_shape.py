"""E1: fan-out strength of each student node against its best correlation; the "L" of over-realized students."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from tsl.errors import InputError
from tsl.figures.runs import Run, collect, missing_epoch, seeds_in_words, unfinished
from tsl.figures.style import PRINT, SEQUENCE, footnotes, grid, panel_title

TABLE = "student_nodes"


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], epoch: int | None = None) -> Figure:
    """A point for every student node and seed; a row of panels per multiplier, a column per polarity and layer.

    Args:
        runs: Runs with the table `student_nodes`. Correlations on training inputs are drawn if all runs have them.
        epoch: The epoch drawn; each run's last one if None.

    Returns:
        The figure. A note names the runs whose records lack the epoch.

    Raises:
        InputError: If no run has the epoch.
    """
    frame = collect(runs)
    in_training = frame[frame["split"] == "train"]
    on_training_inputs = in_training["run"].nunique() == len(runs)
    frame = in_training if on_training_inputs else frame[frame["split"] == "val"]
    notes = [f"a colour for each of {seeds_in_words(frame)}", *unfinished(runs)]
    columns = [key for key, _ in frame.groupby(["polarity", "layer"], dropna=False)]
    several_layers = frame["layer"].nunique() > 1
    if epoch is None:
        frame = frame[frame["epoch"] == frame.groupby("run")["epoch"].transform("max")]
    else:
        notes += missing_epoch(runs, epoch)
        recorded = sorted(frame["epoch"].unique().tolist())
        frame = frame[frame["epoch"] == epoch]
        if frame.empty:
            raise InputError(f"no run has records of epoch {epoch}; recorded are {recorded}")

    curves = frame["curve"].cat.categories
    figure, panels = grid(len(curves), len(columns), 1.45, share_y="col" if several_layers else "all")
    for row, name in zip(panels, curves, strict=True):
        for panel, (polarity, layer) in zip(row, columns, strict=True):
            points = frame[(frame["curve"] == name) & frame["polarity"].isin([polarity]) & (frame["layer"] == layer)]
            seed_rank = points["seed"].rank(method="dense")
            panel.scatter(
                *(points["best_correlation"], points["strength"]),
                **{"c": seed_rank, "cmap": SEQUENCE, "s": 8, "linewidths": 0, "alpha": 0.8, "clip_on": False},
            )
    for panel, (polarity, layer) in zip(panels[0], columns, strict=True):
        panel.set_title(panel_title(polarity, layer if several_layers else None))
        panel.set_xlim(min(-0.02, frame["best_correlation"].min()), 1.02)
        panel.set_ylim(bottom=0)
    strength = r"$\sqrt{\mathrm{E}_x \beta_{kk}}$" if several_layers else r"$\|v_k\|$"
    for row, name in zip(panels, curves, strict=True):
        row[0].set_ylabel(f"{name}\n{strength}")
    inputs = "training" if on_training_inputs else "evaluation"
    for panel in panels[-1]:
        panel.set_xlabel(f"$\\mathrm{{max}}_j\\;\\rho_{{jk}}$\n({inputs} inputs)")
    footnotes(figure, notes)
    return figure
