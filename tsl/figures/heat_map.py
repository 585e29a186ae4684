"""The correlation of every pair of a teacher node and a student node, with students sorted by their best teacher."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd

from tsl.errors import InputError
from tsl.figures.curves import collect, missing_epoch, unfinished
from tsl.figures.style import HEAT, PRINT, Canvas, Place, footnotes, grid, node_ticks, panel_title
from tsl.runs import Run
from tsl.runs.settings import POLARITY

TABLES = ("pairs",)


@mpl.rc_context(PRINT)
def draw(
    runs: Sequence[Run], epoch: int | None = None, replicate: int | None = None, figure: Place | None = None
) -> Canvas:
    """A row of panels per run and setting of its replicates, a column per layer.

    If students have specialized, dark blue cells form a staircase.

    Args:
        runs: Runs with the table `pairs`.
        epoch: The epoch to draw; each run's last one if None.
        replicate: The replicate of each run to draw; the first of each setting if None.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, on evaluation inputs if they were recorded, else on training inputs. A note names the runs whose
        records lack the epoch.

    Raises:
        InputError: If no run has the epoch or the replicate.
    """
    frame = collect(runs, "pairs", [POLARITY], epochs=[] if epoch is None else [epoch])
    notes = [*unfinished(runs, "pairs"), *(missing_epoch(runs, "pairs", epoch) if epoch is not None else [])]
    recorded = sorted(set().union(*(run.recorded_epochs("pairs") for run in runs)))
    if epoch is not None and epoch not in recorded:
        raise InputError(f"no run has records of epoch {epoch}; recorded are {recorded}; choose one with --epoch")
    frame = _chosen(frame, epoch, replicate)
    layers = sorted(frame["layer"].unique())
    by_group = frame.groupby("group")
    figure, panels = grid(by_group.ngroups, len(layers), 1.75, share_y="none", share_x="none", figure=figure)
    for row, (_, of_group) in zip(panels, by_group, strict=True):
        first = of_group.iloc[0]
        for panel, layer in zip(row, layers, strict=True):
            of_layer = of_group[of_group["layer"] == layer]
            if of_layer.empty:  # a run with fewer layers
                panel.remove()
                continue
            cells = sorted_correlations(of_layer)
            # The edges of the image lie half a node beyond the first and the last; teacher node 1 is on top.
            extent = (0.5, cells.shape[1] + 0.5, cells.shape[0] + 0.5, 0.5)
            image = panel.imshow(cells, cmap=HEAT, vmin=-1, vmax=1, extent=extent, interpolation="none")
            panel.set(aspect="auto", title=panel_title(first["polarity"], layer if len(layers) > 1 else None))
            panel.grid(visible=False)
            panel.set_yticks(node_ticks(cells.shape[0]))
            panel.set_xticks(node_ticks(cells.shape[1]))
        row[0].set_ylabel(f"{first['curve']}, epoch {first['epoch']}\nseed {first['seed']}, teacher node $j$")
    for panel in panels[-1]:
        panel.set_xlabel("student nodes $k$,\nby their best teacher")
    figure.colorbar(image, ax=figure.axes, label=r"$\rho_{jk}$", fraction=0.04)
    inputs = {"val": "evaluation", "train": "training"}[frame["split"].iloc[0]]
    footnotes(figure, [f"{inputs} inputs", *notes])
    return figure


def sorted_correlations(pairs: pd.DataFrame) -> pd.DataFrame:
    """ρ_jk of one replicate, layer, epoch and split as a matrix, with students sorted by their best teacher.

    Args:
        pairs: The rows of the table `pairs` for this replicate, layer, epoch and split.

    Returns:
        A row per teacher node, in order, and a column per student node. Student nodes are sorted by the teacher node
        with the highest correlation, then by that correlation, the highest first.
    """
    cells = pairs.pivot(index="teacher_node", columns="student_node", values="correlation")
    best = pd.DataFrame({"teacher": cells.fillna(-np.inf).idxmax(), "correlation": cells.max()})
    return cells[best.sort_values(["teacher", "correlation"], ascending=[True, False], kind="stable").index]


def _chosen(frame: pd.DataFrame, epoch: int | None, replicate: int | None) -> pd.DataFrame:
    """The rows of one split, epoch and replicate.

    Raises:
        InputError: If no run has the replicate.
    """
    frame = frame[frame["split"] == ("val" if (frame["split"] == "val").any() else "train")]
    if replicate is not None and replicate not in frame["replicate"].unique():
        last = frame["replicate"].max()
        raise InputError(f"no run has a replicate {replicate}; choose one from 0 to {last} with --replicate")
    by_group = frame.groupby("group")
    chosen = frame["epoch"] == (by_group["epoch"].transform("max") if epoch is None else epoch)
    return frame[
        chosen & (frame["replicate"] == (by_group["replicate"].transform("min") if replicate is None else replicate))
    ]
