"""E4: the correlation of every student node with each teacher node over epochs."""

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from tsl.errors import InputError
from tsl.figures.curves import unfinished
from tsl.figures.style import (
    LINE_STYLES,
    PALETTE,
    PRINT,
    SEQUENCE,
    Canvas,
    Place,
    curve_style,
    footnotes,
    grid,
    legend_above,
    whole_epochs,
    wrapped,
)
from tsl.runs import ReplicateGroup, Run

TABLES = ("pairs",)

ACROSS = 5
"""The most teacher nodes that have a panel each; if there are more, all are curves of one panel."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], replicates: Sequence[int] | None = None, figure: Place | None = None) -> Canvas:
    """The correlation of student nodes with teacher nodes per epoch.

    Up to `ACROSS` teacher nodes are drawn as a row per replicate, with a panel per teacher node and in it a curve per
    student node. More teacher nodes are drawn as a panel per replicate, with a curve per teacher node: its correlation
    with its best student node, which is the one with the highest correlation at the last epoch.

    Args:
        runs: Runs with the table `pairs`; the rows of each run are below those of the run before.
        replicates: The replicates of each run to draw; the first three of each setting if None.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure of the lowest layer, on evaluation inputs if they were recorded, else on training inputs.

    Raises:
        InputError: If a run lacks one of the replicates.
    """
    tables = [run.table("pairs") for run in runs]
    rows = [row for run, table in zip(runs, tables, strict=True) for row in _rows(run, table, replicates)]
    notes = [f"run {index}: {run.name}" for index, run in enumerate(runs, start=1) if len(runs) > 1]
    notes += unfinished(runs, "pairs")
    if any(table["layer"].nunique() > 1 for table in tables):
        notes.append("lowest layer")
    if max(frame["teacher_node"].nunique() for _, frame in rows) > ACROSS:
        return _draw_best(rows, notes, figure)
    teacher_nodes = sorted(set().union(*(frame["teacher_node"] for _, frame in rows)))
    student_nodes = sorted(set().union(*(frame["student_node"] for _, frame in rows)))
    columns = min(len(teacher_nodes), ACROSS)
    rows_each = -(-len(teacher_nodes) // columns)
    figure, panels = grid(len(rows) * rows_each, columns, 1.25, share_y="all", figure=figure)
    handles: dict[str, Artist] = {}
    for place, (group, frame) in enumerate(rows):
        panel_rows = panels[place * rows_each : (place + 1) * rows_each]
        of_replicate = [panel for panel_row in panel_rows for panel in panel_row]
        for panel in of_replicate[len(teacher_nodes) :]:
            panel.remove()
        for panel, teacher_node in zip(of_replicate, teacher_nodes, strict=False):
            if place == 0 or rows_each > 1:
                panel.set_title(f"teacher node $j = {teacher_node}$")
            for student_node, curve in frame[frame["teacher_node"] == teacher_node].groupby("student_node"):
                index = student_nodes.index(student_node)
                (line,) = panel.plot(
                    curve["epoch"],
                    curve["correlation"],
                    linewidth=1.0,
                    markersize=2.5,
                    markevery=(0.02 * (index % 10), 0.3),
                    clip_on=False,
                    label=f"student node {student_node}",
                    **curve_style(index),
                )
                handles[f"{student_node}"] = line
        inputs = {"val": "evaluation", "train": "training"}[frame["split"].iloc[0]]
        notes.append(f"correlation on {inputs} inputs")
        seed = group.seeds[frame["replicate"].iloc[0]]
        number = f"run {runs.index(group.run) + 1}, " if len(runs) > 1 else ""
        setting = group.label.replace(",", "\n")
        for panel_row in panel_rows:
            panel_row[0].set_ylabel("\n".join(filter(None, [f"{number}seed {seed}", setting, r"$\rho_{jk}$"])))
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    whole_epochs(panels[0][0])
    panels[0][0].set_ylim(min(0.0, *(frame["correlation"].min() for _, frame in rows)), 1.0)
    if len(student_nodes) <= len(PALETTE) * len(LINE_STYLES):
        legend_above(figure, handles, title="student node $k$")
    footnotes(figure, notes)
    return figure


def best_students(frame: pd.DataFrame) -> pd.DataFrame:
    """The correlation per epoch of each teacher node with its best student node at the last epoch.

    Args:
        frame: Rows of the table `pairs` of one replicate, layer and split.
    """
    last = frame[frame["epoch"] == frame["epoch"].max()].dropna(subset=["correlation"])
    best = last.loc[last.groupby("teacher_node")["correlation"].idxmax(), ["teacher_node", "student_node"]]
    return frame.merge(best, on=["teacher_node", "student_node"]).sort_values(["teacher_node", "epoch"])


def _draw_best(
    rows: Sequence[tuple[ReplicateGroup, pd.DataFrame]], notes: Sequence[str], figure: Place | None
) -> Canvas:
    """Draw a panel per replicate, with a curve per teacher node, coloured by the node's number."""
    figure, panels = wrapped(len(rows), "epoch", r"$\rho_{jk}$ with best student", figure=figure)
    nodes = Normalize(1, max(frame["teacher_node"].max() for _, frame in rows))
    for panel, (group, frame) in zip(panels, rows, strict=True):
        seed = group.seeds[frame["replicate"].iloc[0]]
        panel.set_title("\n".join(filter(None, [f"{group.run.name}, seed {seed}", group.label])), fontsize=7)
        for node, curve in best_students(frame).groupby("teacher_node"):
            label = f"teacher node {node}"
            panel.plot(curve["epoch"], curve["correlation"], color=SEQUENCE(nodes(node)), linewidth=1.0, label=label)
    whole_epochs(panels[0])
    panels[0].set_ylim(min(0.0, *(frame["correlation"].min() for _, frame in rows)), 1.02)
    figure.colorbar(ScalarMappable(nodes, SEQUENCE), ax=panels, label="teacher node $j$", fraction=0.05)
    inputs = {"val": "evaluation", "train": "training"}[rows[0][1]["split"].iloc[0]]
    footnotes(figure, [*notes, f"correlation on {inputs} inputs; best student: highest correlation at the last epoch"])
    return figure


def _rows(run: Run, pairs: pd.DataFrame, replicates: Sequence[int] | None) -> list[tuple[ReplicateGroup, pd.DataFrame]]:
    """The lowest layer's correlations as a frame per replicate, each with the replicate's group."""
    split = "val" if (pairs["split"] == "val").any() else "train"
    frame = pairs[(pairs["split"] == split) & (pairs["layer"] == pairs["layer"].min())]
    by_replicate = dict(iter(frame.groupby("replicate")))
    group_of = {replicate: group for group in run.groups for replicate in group.replicates if replicate in by_replicate}
    if replicates is None:
        replicates = [
            replicate for group in run.groups for replicate in [r for r in group_of if group_of[r] is group][:3]
        ]
    absent = [replicate for replicate in replicates if replicate not in group_of]
    if absent:
        raise InputError(
            f"--replicates: {run.path} has replicates 0 to {max(by_replicate)}, but {absent} came: choose among those"
        )
    return [(group_of[replicate], by_replicate[replicate]) for replicate in replicates]
