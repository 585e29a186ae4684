"""E1 and E7: strength of each student node against its best correlation; the "L" of over-realized students."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.collections import PathCollection

from tsl.errors import InputError
from tsl.figures.curves import collect, missing_epoch, seeds_in_words, unfinished
from tsl.figures.style import PRINT, SEQUENCE, Canvas, Place, Shared, footnotes, grid, panel_title
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("student_nodes",)


class Cell(NamedTuple):
    """A panel's points, and a mask of their rows in the table."""

    points: PathCollection
    rows: pd.Series


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], epochs: Sequence[int] | None = None, figure: Place | None = None) -> Canvas:
    """A point for every student node and seed.

    One epoch has a row of panels per multiplier and a column per polarity and layer. Several epochs have a row per
    multiplier, polarity and layer, and a column per epoch.

    Args:
        runs: Runs with the table `student_nodes`. Correlations on training inputs are drawn if all runs have them.
        epochs: The epochs to draw; each run's last one if None, all recorded epochs if empty.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure. The dotted line is the null level, the mean correlation of untrained students. A note names the runs
        whose records lack an epoch.

    Raises:
        InputError: If no run has one of the epochs.
    """
    recorded = sorted(set().union(*(run.recorded_epochs("student_nodes") for run in runs)))
    epochs = recorded if epochs is not None and not epochs else epochs
    frame, inputs = on_common_inputs(runs, [0, *(epochs or [])])
    if absent := [epoch for epoch in epochs or [] if epoch not in recorded]:
        raise InputError(f"no run has records of epoch {absent[0]}; recorded are {recorded}")
    missing = [note for epoch in epochs or [] for note in missing_epoch(runs, "student_nodes", epoch)]
    rows, columns, share_y = arrangement(frame)
    if epochs is None:
        chosen = frame["epoch"] == frame.groupby("group")["epoch"].transform("max")
    else:
        chosen = frame["epoch"].isin(epochs)
        if len(epochs) > 1:
            rows = {
                "\n".join(filter(None, [curve, title])): of_curve & of_layer
                for curve, of_curve in rows.items()
                for title, of_layer in columns.items()
            }
            columns, share_y = {f"epoch {epoch}": frame["epoch"] == epoch for epoch in epochs}, "row"
    figure, _ = draw_cells(frame, chosen, rows, columns, share_y, inputs, strength_label(frame), figure)
    footnotes(figure, [*notes_of(frame), *unfinished(runs, "student_nodes"), *missing])
    return figure


def on_common_inputs(runs: Sequence[Run], epochs: Collection[int] | None = None) -> tuple[pd.DataFrame, str]:
    """The table of all runs on training inputs if all runs have them, else on evaluation inputs; and the inputs' name.

    Args:
        runs: Runs with the table `student_nodes`.
        epochs: The epochs to read besides the last; all if None.
    """
    frame = collect(runs, "student_nodes", [POLARITY], epochs)
    in_training = frame[frame["split"] == "train"]
    if in_training["group"].nunique() == frame["group"].nunique():
        return in_training, "training"
    return frame[frame["split"] == "val"], "evaluation"


def arrangement(frame: pd.DataFrame) -> tuple[dict[str, pd.Series], dict[str, pd.Series], Shared]:
    """A row for each curve and a column for each polarity and layer, as masks by label; and which share y axes."""
    several_layers = frame["layer"].nunique() > 1
    rows = {str(name): frame["curve"] == name for name in frame["curve"].cat.categories}
    columns = {
        panel_title(polarity, layer if several_layers else None): frame["polarity"].isin([polarity])
        & (frame["layer"] == layer)
        for (polarity, layer), _ in frame.groupby(["polarity", "layer"], dropna=False)
    }
    return rows, columns, "col" if several_layers else "all"


def draw_cells(
    frame: pd.DataFrame,
    chosen: pd.Series,
    rows: Mapping[str, pd.Series],
    columns: Mapping[str, pd.Series],
    share_y: Shared,
    inputs: str,
    strength: str,
    figure: Place | None = None,
) -> tuple[Canvas, list[Cell]]:
    """Draw a panel for each row and column, with axes that show all chosen points.

    Args:
        frame: The table of all runs.
        chosen: A mask of the table's rows that are drawn.
        rows: A mask of the table's rows for each row of panels, by its label.
        columns: A mask of the table's rows for each column of panels, by its title.
        share_y: Which panels have the same y axis.
        inputs: The name of the inputs, for the x axis.
        strength: The measure of strength, for the y axis.
        figure: The figure, subfigure or axes to draw into; a new figure if None.

    Returns:
        The figure and its cells.
    """
    figure, panels = grid(len(rows), len(columns), 1.45, share_y, figure=figure)
    untrained = frame["epoch"] == 0
    cells = []
    for row, (label, in_row) in zip(panels, rows.items(), strict=True):
        for panel, in_column in zip(row, columns.values(), strict=True):
            in_cell = in_row & in_column & chosen
            points = frame[in_cell]
            style: dict[str, Any] = {"cmap": SEQUENCE, "s": 8, "linewidths": 0, "alpha": 0.8, "clip_on": False}
            rank = points["seed"].rank(method="dense")
            cells.append(Cell(panel.scatter(points["best_correlation"], points["strength"], c=rank, **style), in_cell))
            # The columns of epochs all have the null level of their row: the same students before training.
            before = in_row & in_column & untrained
            before = before if before.any() else in_row & untrained
            if before.any():
                null_level = frame.loc[before, "best_correlation"].mean()
                panel.axvline(null_level, color="0.4", linestyle=":", linewidth=0.9, zorder=0)
        row[0].set_ylabel(strength)
        beside: dict[str, Any] = {"rotation": 270, "ha": "left", "va": "center", "fontsize": 8}
        row[-1].text(1.05, 0.5, label, transform=row[-1].transAxes, **beside)
    for panel, title in zip(panels[0], columns, strict=True):
        panel.set_title(title)
        panel.set_xlim(min(-0.02, frame["best_correlation"].min()), 1.02)
    for row in panels:  # last, because a fixed limit stops the panels that share it from growing
        for panel in row:
            panel.set_ylim(bottom=0)
    for panel in panels[-1]:
        panel.set_xlabel(f"$\\mathrm{{max}}_j\\;\\rho_{{jk}}$\n({inputs} inputs)")
    return figure, cells


def notes_of(frame: pd.DataFrame) -> list[str]:
    """The notes on the points and the dotted line."""
    dotted = ["dotted: mean correlation of untrained students"] if (frame["epoch"] == 0).any() else []
    meaning = ["right margin: student nodes per teacher node, and other settings that differ"]
    if frame["polarity"].notna().any():
        meaning.append("p: the strength of teacher node j is proportional to j to the power −p")
    return [f"one colour for each seed ({seeds_in_words(frame)})", *dotted, *meaning]


def strength_label(frame: pd.DataFrame) -> str:
    """The measure of strength on the y axis."""
    return r"strength $\sqrt{\mathrm{E}_x \beta_{kk}}$" if frame["layer"].nunique() > 1 else r"strength $\|v_k\|$"
