"""An animation of the L-shape: strength of student nodes against their best correlation, over epochs."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tsl.figures.curves import unfinished
from tsl.figures.l_shape import arrangement, draw_cells, notes_of, on_common_inputs, strength_label
from tsl.figures.style import PRINT, footnotes
from tsl.runs import Run

TABLES = ("student_nodes",)

HOLD = 10
"""The number of frames for which the last epoch stays visible."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run]) -> FuncAnimation:
    """A row of panels per multiplier and a column per polarity and layer; a frame per recorded epoch.

    Args:
        runs: Runs with the table `student_nodes`.

    Returns:
        The animation. The points of a run that lacks an epoch do not move; a bar below the panels shows the epoch.
    """
    frame, inputs = on_common_inputs(runs)
    epochs = sorted(frame["epoch"].unique().tolist())
    everything = pd.Series(True, index=frame.index)
    figure, cells = draw_cells(frame, everything, *arrangement(frame), inputs, strength_label(frame))
    assert isinstance(figure, Figure)  # a new one
    FigureCanvasAgg(figure)
    footnotes(figure, [*notes_of(frame), *unfinished(runs, "student_nodes")])
    figure.suptitle(f"epoch {epochs[0]} of {epochs[-1]}", fontsize=8)
    bar = _bar(figure)
    of_cells = [frame[cell.rows] for cell in cells]

    def show(epoch: int) -> list[Artist]:
        """Move all points to their positions at this epoch."""
        for cell, rows in zip(cells, of_cells, strict=True):
            now = rows[rows["epoch"] == latest(rows, epoch)]
            cell.points.set_offsets(now[["best_correlation", "strength"]].to_numpy())
            cell.points.set_array(now["seed"].rank(method="dense").to_numpy())
        figure.suptitle(f"epoch {epoch} of {epochs[-1]}", fontsize=8)
        bar.set_xdata([0, epoch / max(epochs[-1], 1)])
        return [cell.points for cell in cells]

    frames = epochs + [epochs[-1]] * HOLD
    return FuncAnimation(figure, show, frames, interval=200, blit=False, cache_frame_data=False)


def latest(rows: pd.DataFrame, epoch: int) -> pd.Series:
    """For each row, its run's last recorded epoch up to this one, or its first recorded epoch if that is later."""
    until = rows["epoch"].where(rows["epoch"] <= epoch, -np.inf).groupby(rows["group"]).transform("max")
    return until.where(until >= 0, rows.groupby("group")["epoch"].transform("min"))


def _bar(figure: Figure) -> Line2D:
    """A thin line along the bottom, of length 0."""
    bar = Line2D([0, 0], [0.004, 0.004], transform=figure.transFigure, color="0.3", linewidth=2, solid_capstyle="butt")
    figure.add_artist(bar)
    return bar
