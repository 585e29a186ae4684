"""E8: ρ_mean of every layer and the accuracy on labels, of students of a trained teacher, over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tsl.figures.curves import collect, groups_of, seeds_in_words, unfinished
from tsl.figures.style import (
    LEGEND_ENTRIES,
    NULL_LEVELS,
    PRINT,
    Canvas,
    Place,
    curve_style,
    footnotes,
    grid,
    legend_above,
    marked,
)
from tsl.runs import ReplicateGroup, Run

TABLES = ("layers", "losses")
CHECKPOINT = "model.init_args.teacher.init_args.checkpoint"
ACCURACY, TEACHER_ACCURACY = "accuracy", "teacher_accuracy"
TEACHERS = {"compact": "pruned"}
"""The teacher's name for files whose name differs from it; see tsl.prune_teacher."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """ρ_mean of each layer per epoch, and the accuracy if there are labels, mean ± standard deviation over seeds.

    Two null levels show which ρ_mean are no better than chance. The horizontal line of long dashes is the value of the
    untrained student (epoch 0). The dotted curve is the value of the student against the teacher on shuffled inputs.

    Args:
        runs: Runs with the tables `layers` and `losses`, whose teachers came from files.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with a row of panels for each teacher, a column for each layer and one for the accuracy, and a curve
        for each multiplier and other setting. The dashed line is the teacher's own accuracy.
    """
    names = {index: teacher_name(group) for index, group in enumerate(groups_of(runs))}
    frame, losses = (collect(runs, table, [CHECKPOINT]) for table in TABLES)
    frame, losses = (of_runs.assign(teacher=of_runs["group"].map(names)) for of_runs in (frame, losses))
    frame = frame[frame["split"] == "val"]
    teachers, layers = list(dict.fromkeys(names.values())), sorted(frame["layer"].unique())
    with_accuracy = ACCURACY in losses and losses[ACCURACY].notna().any()
    figure, panels = grid(len(teachers), len(layers) + with_accuracy, 1.8, share_y="col", figure=figure)
    handles: dict[str, Artist] = {}
    for row, teacher in zip(panels, teachers, strict=True):
        row[0].set_ylabel(f"{teacher} teacher\n" + r"$\rho_{\mathrm{mean}}$")
        of_teacher = frame[frame["teacher"] == teacher]
        for panel, layer in zip(row, layers, strict=False):
            panel.set_title(f"layer {layer}")
            handles |= _draw_curves(panel, of_teacher[of_teacher["layer"] == layer], "rho_mean", "rho_mean_null")
        if with_accuracy:
            row[-1].set_title("accuracy on labels")
            of_labels = losses[losses["teacher"] == teacher]
            handles |= _draw_curves(row[-1], of_labels, ACCURACY)
            row[-1].axhline(of_labels[TEACHER_ACCURACY].mean(), color="0.4", linestyle="--", linewidth=0.9)
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    handles = {name: handles[name] for name in frame["curve"].cat.categories}
    if with_accuracy:
        handles["teacher"] = Line2D([], [], color="0.4", linestyle="--", linewidth=0.9)
    handles |= {LEGEND_ENTRIES[name]: Line2D([], [], color="0.3", **style) for name, style in NULL_LEVELS.items()}
    legend_above(figure, handles)
    notes = [f"mean ± standard deviation over {seeds_in_words(frame)}", *unfinished(runs, "layers")]
    footnotes(figure, notes)
    return figure


def teacher_name(group: ReplicateGroup) -> str:
    """The name of the replicates' teacher: its file's name, or "pruned" for a pruned and compacted one."""
    stem = Path(str(group.settings.get(CHECKPOINT, "trained"))).stem
    return TEACHERS.get(stem, stem)


def _draw_curves(panel: Axes, frame: pd.DataFrame, column: str, shuffled: str | None = None) -> Mapping[str, Artist]:
    """Draw a curve for each multiplier and other setting, with null levels if `shuffled` names their column."""
    handles: dict[str, Artist] = {}
    for index, name in enumerate(frame["curve"].cat.categories):
        by_epoch = frame[frame["curve"] == name].groupby("epoch")
        mean, std = by_epoch[column].mean(), by_epoch[column].std().fillna(0.0)
        style = curve_style(index)
        panel.fill_between(mean.index, mean - std, mean + std, color=style["color"], alpha=0.18, linewidth=0)
        (handles[name],) = panel.plot(mean.index, mean, label=name, markevery=marked(len(mean)), **style)
        if shuffled is not None and shuffled in frame:
            null = by_epoch[shuffled].mean()
            panel.plot(null.index, null, color=style["color"], **NULL_LEVELS["shuffled"])
        if shuffled is not None and 0 in mean.index:
            panel.axhline(mean[0], color=style["color"], **NULL_LEVELS["untrained"])
    return handles
