"""The number of samples that recovery at ε needs, with and without augmentation, against d, K and 1/ε."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from tsl.errors import InputError
from tsl.figures.style import PRINT, Canvas, Place, curve_style, footnotes, grid, legend_above
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER
from tsl.runs.summary import last_epoch
from tsl.theory.sample_needs import AXES, Need, along, exponents
from tsl.theory.tipping_point import tipping_point

TABLES = ("teacher_nodes", "losses")

AUGMENTATION = "data.init_args.augmentation.class_path"
WIDTHS = "model.init_args.teacher.init_args.widths"

EPSILONS = (0.3, 0.2, 0.1, 0.05)
DRAWN = 0.1
"""The ε of the panels whose axis is not 1/ε."""

SHARE = 0.9
"""The mean share of teacher nodes that have to be recovered."""


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], figure: Place | None = None) -> Canvas:
    """The number of samples needed against each axis that the runs vary, with the theorem's orders.

    Args:
        runs: Runs of two-layer students with several numbers of inputs along the replicates.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure, with a panel for each axis. Solid lines count augmented samples, dashed lines count inputs alone.
        Grey lines are the theorem's orders, scaled to the first point of each kind, because their constants are
        unknown.
    """
    needs = [need for run in runs for need in needs_of(run)]
    found = [each for each in exponents(needs) if each.epsilon in (None, DRAWN)]
    axes = [axis for axis in AXES if len({AXES[axis](need) for need in along(needs, axis)}) > 1]
    figure, [panels] = grid(1, len(axes), 2.2, share_y="row", share_x="none", figure=figure)
    kinds = list(dict.fromkeys(need.kind for need in needs))
    handles: dict[str, Any] = {}
    for panel, axis in zip(panels, axes, strict=True):
        of_axis = [need for need in along(needs, axis) if axis == "1/ε" or need.epsilon == DRAWN]
        for index, kind in enumerate(kinds):
            rows = sorted((need for need in of_axis if need.kind == kind and need.inputs.found), key=AXES[axis])
            if rows:
                handles[kind] = _draw_kind(panel, rows, axis, index)
        words = [
            f"{each.kind}: {each.fit.exponent:.2f} ± {1.96 * each.fit.standard_error:.2f}"
            for each in found
            if each.axis == axis and each.counted == "samples"
        ]
        panel.set_title("\n".join(words), fontsize=7)
        panel.set(xscale="log", yscale="log", xlabel={"d": "$d$", "1/ε": r"$1/\epsilon$"}.get(axis, f"$K$ {axis[2:]}"))
        ticks = sorted({AXES[axis](need) for need in of_axis})
        panel.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        panel.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    panels[0].set_ylabel("samples needed")
    legend_above(figure, handles)
    outside = sum(not need.inputs.found for need in needs)
    notes = [
        f"samples at which {SHARE:.0%} of teacher nodes are recovered at ε (ρ* > √(1 − ε²)), with 95 % bootstrap "
        f"interval; ε = {DRAWN:g} except in the panel of 1/ε; solid: with augmented samples, dashed: inputs alone; "
        "above: exponents with 95 % intervals; grey: growth of the theorem's orders from the first point on",
        f"{outside} of {len(needs)} points lie outside the measured numbers of inputs and are left out",
    ]
    footnotes(figure, notes)
    return figure


def needs_of(run: Run, epsilons: Sequence[float] = EPSILONS) -> list[Need]:
    """The number of samples that a run needs at each ε, from its last epoch.

    Raises:
        InputError: If it is not a run of two-layer students with several numbers of inputs.
    """
    losses = run.table("losses", run.recorded_epochs("losses")[-1:])[["replicate", "train_size", "augmented_size"]]
    settings = run.settings
    if losses["train_size"].nunique() < 2 or len(settings.get(WIDTHS, [])) != 1 or settings.get(MULTIPLIER) is None:
        raise InputError(
            f"{run.name}: expected one hidden layer, student.multiplier, and several numbers of inputs along the "
            "replicates, as in configs/theorem.yaml"
        )
    (m,) = settings[WIDTHS]
    kind = {None: "plain", "TeacherAgnostic": "agnostic", "TeacherAware": "aware"}[
        settings.get(AUGMENTATION) and settings[AUGMENTATION].rsplit(".", 1)[-1]
    ]
    sizes = kind, settings["data.init_args.dim"], m, round(m * settings[MULTIPLIER])
    samples_each = int((losses["augmented_size"] // losses["train_size"]).iloc[0])
    nodes = last_epoch(run.table("teacher_nodes")).merge(losses, on="replicate")
    needs = []
    for epsilon in epsilons:
        recovered = nodes["best_correlation"] > math.sqrt(1 - epsilon**2)
        share = recovered.groupby([nodes["train_size"], nodes["replicate"]]).mean()
        by_size = {int(size): of_size.to_numpy() for size, of_size in share.groupby(level=0)}
        needs.append(Need(*sizes, epsilon, samples_each, tipping_point(by_size, SHARE)))
    return needs


def _draw_kind(panel: Axes, rows: Sequence[Need], axis: str, index: int) -> ErrorbarContainer:
    """Draw the needs of one kind of data, sorted along the axis, and return the solid line."""
    style = curve_style(index) | {"linestyle": "-"}
    x = [AXES[axis](need) for need in rows]
    points = [need.samples for need in rows]
    size = np.array([point.size for point in points])
    ends = [[point.size - point.low for point in points], [max(point.high - point.size, 0) for point in points]]
    line = panel.errorbar(x, size, np.where(np.isfinite(ends), ends, 0), capsize=2, **style)
    if rows[0].samples_each > 1:
        panel.plot(x, [need.inputs.size for need in rows], **style | {"linestyle": "--", "marker": ""})
    if rows[0].bound is not None:
        bounds = np.array([need.bound for need in rows])
        panel.plot(x, bounds * size[0] / bounds[0], color="0.6", linewidth=0.9, zorder=1)
    return line
