"""E4: how the correlation of every student node with each teacher node grows over epochs."""

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from tsl.errors import InputError
from tsl.figures.runs import Run, run_name, unfinished
from tsl.figures.style import LINE_STYLES, PALETTE, PRINT, curve_style, footnotes, grid, legend_above, whole_epochs

TABLE = "pairs"

ACROSS = 5
"""Teacher nodes beside each other; more go on in the next row."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], replicates: Sequence[int] | None = None) -> Figure:
    """A panel per teacher node, a row (or several) per replicate, and in each panel a curve per student node.

    Args:
        runs: Runs with the table `pairs`; the rows of each stand below those of the one before.
        replicates: The replicates drawn of each run; the first three if None.

    Returns:
        The figure of the lowest layer, on evaluation inputs if they were recorded, else on training inputs.

    Raises:
        InputError: If a run lacks one of the replicates.
    """
    rows = [(run, seed_rows) for run in runs for seed_rows in _rows(run, replicates)]
    notes = [f"run {index}: {run_name(run)}" for index, run in enumerate(runs, start=1) if len(runs) > 1]
    notes += unfinished(runs)
    if any(run.table["layer"].nunique() > 1 for run in runs):
        notes.append("lowest layer")
    teacher_nodes = sorted(set().union(*(frame["teacher_node"] for _, frame in rows)))
    student_nodes = sorted(set().union(*(frame["student_node"] for _, frame in rows)))
    columns = min(len(teacher_nodes), ACROSS)
    rows_each = -(-len(teacher_nodes) // columns)
    figure, panels = grid(len(rows) * rows_each, columns, 1.25, share_y="all")
    handles: dict[str, Artist] = {}
    for place, (run, frame) in enumerate(rows):
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
        seed = run.seed + frame["replicate"].iloc[0]
        number = f"run {runs.index(run) + 1}, " if len(runs) > 1 else ""
        for panel_row in panel_rows:
            panel_row[0].set_ylabel(f"{number}seed {seed}\n$\\rho_{{jk}}$")
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    whole_epochs(panels[0][0])
    panels[0][0].set_ylim(min(0.0, *(frame["correlation"].min() for _, frame in rows)), 1.0)
    if len(student_nodes) <= len(PALETTE) * len(LINE_STYLES):
        legend_above(figure, handles, title="student node $k$")
    footnotes(figure, notes)
    return figure


def _rows(run: Run, replicates: Sequence[int] | None) -> list[pd.DataFrame]:
    """The lowest layer's correlations, a frame per replicate."""
    split = "val" if (run.table["split"] == "val").any() else "train"
    frame = run.table[(run.table["split"] == split) & (run.table["layer"] == run.table["layer"].min())]
    by_replicate = dict(iter(frame.groupby("replicate")))
    asked = list(by_replicate)[:3] if replicates is None else replicates
    absent = [replicate for replicate in asked if replicate not in by_replicate]
    if absent:
        raise InputError(f"{run.path} has replicates 0 to {max(by_replicate)}, not {absent}; mend --replicates")
    return [by_replicate[replicate] for replicate in asked]
