"""E5 and E6: losses and correlation of each layer against the number of training samples."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from tsl.errors import InputError
from tsl.figures.curves import collect, groups_of, unfinished
from tsl.figures.style import PRINT, ROUNDING, Canvas, Place, curve_style, footnotes, grid, legend_above
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, TRAIN_SIZE

TABLES = ("layers", "losses")

LOSSES = {"evaluation_loss": "$\\log_{10}$ evaluation\nloss", "train_loss": "$\\log_{10}$ training\nloss"}


@mpl.rc_context(PRINT)
def draw(runs: Sequence[Run], evaluation_loss: str = "val_mse", figure: Place | None = None) -> Canvas:
    """Least loss over epochs, and mean best correlation at the last epoch, mean ± standard deviation over seeds.

    There is a column for each multiplier, and a curve for each other setting. Samples are counted with augmentation.

    Args:
        runs: Runs with the tables `layers` and `losses`.
        evaluation_loss: The column of `losses` to draw: the mean squared error, or `val_loss`, the objective itself.
        figure: The figure, subfigure or axes to draw into, see `tsl.figures.style.grid`; a new figure if None.

    Returns:
        The figure. Dotted lines are the least correlation over epochs. Grey lines are the null level, with the teacher
        on shuffled inputs.

    Raises:
        InputError: If a run does not record its number of training samples.
    """
    frame = outcomes(runs, evaluation_loss)
    floored = (frame[[*LOSSES]] < np.log10(ROUNDING)).any(axis=None)
    frame[[*LOSSES]] = frame[[*LOSSES]].clip(lower=np.log10(ROUNDING))
    layers = sorted(frame["layer"].unique())
    multipliers = sorted(frame["multiplier"].unique())
    figure, panels = grid(len(LOSSES) + len(layers), len(multipliers), 1.2, share_y="row", figure=figure)
    handles: dict[str, Artist] = {}
    for column, multiplier in enumerate(multipliers):
        panels[0][column].set_title(f"{multiplier:g}×")
        in_column = frame[frame["multiplier"] == multiplier]
        for index, name in enumerate(dict.fromkeys(frame["setting"])):
            of_curve = in_column[in_column["setting"] == name]
            if of_curve.empty:
                continue
            first_layer = of_curve[of_curve["layer"] == layers[0]]
            for row, loss in enumerate(LOSSES):
                handles[name] = _band(panels[row][column], first_layer, loss, index)
            for row, layer in enumerate(layers, start=len(LOSSES)):
                of_layer = of_curve[of_curve["layer"] == layer]
                _band(panels[row][column], of_layer, "rho_mean", index)
                by_size = of_layer.groupby("augmented_size")
                least = by_size["least_rho_mean"].mean()
                panels[row][column].plot(least.index, least, ":", color=curve_style(index)["color"], linewidth=0.9)
                if "rho_mean_null" in of_layer:
                    null = by_size["rho_mean_null"].mean()
                    panels[row][column].plot(null.index, null, color="0.55", linewidth=0.9, zorder=1)
    labels = [*LOSSES.values(), *(_rho(layer, len(layers)) for layer in layers)]
    for row_of_panels, label in zip(panels, labels, strict=True):
        row_of_panels[0].set_ylabel(label)
        row_of_panels[0].set_xscale("log")
        row_of_panels[0].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        row_of_panels[0].xaxis.set_major_formatter(EngFormatter(sep=""))
        row_of_panels[0].xaxis.set_minor_formatter(NullFormatter())
    for row_of_panels in panels[len(LOSSES) :]:
        row_of_panels[0].set_ylim(-0.03, 1.03)
    for panel in panels[-1]:
        panel.set_xlabel("training samples")
    legend_above(figure, handles if len(handles) > 1 else {})
    rounded = [f"losses below {ROUNDING:g} are rounding, and drawn at {ROUNDING:g}"] if floored else []
    footnotes(figure, [*_notes(frame), *rounded, *unfinished(runs, "layers")])
    return figure


def outcomes(runs: Sequence[Run], evaluation_loss: str = "val_mse") -> pd.DataFrame:
    """One row for each replicate of a run and layer, with its outcome on evaluation inputs.

    Args:
        runs: Runs with the tables `layers` and `losses`.
        evaluation_loss: The column of `losses` that is returned as `evaluation_loss`.

    Returns:
        Columns `multiplier`, `setting` (other settings that differ), `seed`, `layer`, `augmented_size`,
        `evaluation_loss` and `train_loss` (log10 of the least over epochs of training), `rho_mean` (at the last epoch),
        `least_rho_mean` (over epochs of training) and `rho_mean_null` (at the last epoch).

    Raises:
        InputError: If a run does not record its number of training samples.
    """
    frame = collect(runs, "layers", [MULTIPLIER, TRAIN_SIZE])
    frame = frame[(frame["split"] == "val") & (frame["epoch"] > 0)].sort_values("epoch")
    keys = ["group", "replicate", "layer"]
    rows = frame.groupby(keys, as_index=False).last()
    rows["least_rho_mean"] = frame.groupby(keys)["rho_mean"].min().to_numpy()
    for run in runs:
        if "augmented_size" not in run.table("losses", run.recorded_epochs("losses")[-1:]):
            raise InputError(
                f"{run.name} has no record of its number of training samples: run it again with this version"
            )
    losses = collect(runs, "losses", [MULTIPLIER, TRAIN_SIZE]).rename(columns={evaluation_loss: "evaluation_loss"})
    by_replicate = losses.groupby(["group", "replicate"])
    with np.errstate(divide="ignore"):
        least = np.log10(losses[losses["epoch"] > 0].groupby(["group", "replicate"])[list(LOSSES)].min())
    rows = rows.merge(least.join(by_replicate["augmented_size"].first()), on=["group", "replicate"])
    multipliers = {index: group.settings.get(MULTIPLIER, np.nan) for index, group in enumerate(groups_of(runs))}
    rows = rows.assign(multiplier=rows["group"].map(multipliers), setting=rows["curve"].astype(str))
    return rows.sort_values("group", kind="stable")


def _band(panel: Axes, rows: pd.DataFrame, column: str, index: int) -> Artist:
    """Draw mean ± standard deviation against the number of samples, and return the line."""
    by_size = rows.replace(-np.inf, np.nan).groupby("augmented_size")[column]
    mean, std = by_size.mean(), by_size.std().fillna(0.0)
    style = curve_style(index)
    panel.fill_between(mean.index, mean - std, mean + std, color=style["color"], alpha=0.18, linewidth=0)
    (line,) = panel.plot(mean.index, mean, **style)
    return line


def _rho(layer: int, layers: int) -> str:
    return r"$\rho_{\mathrm{mean}}$" + (f"\nlayer {layer}" if layers > 1 else "")


def _notes(frame: pd.DataFrame) -> list[str]:
    seeds = frame.groupby(["setting", "multiplier", "augmented_size", "layer"]).size()
    many = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return [
        f"mean ± standard deviation over {many} seed{'s' if seeds.max() > 1 else ''}; losses: least over epochs; "
        "correlation: at the last epoch; dotted: its least over epochs; grey: its null level (teacher on shuffled "
        "inputs); samples are counted with augmentation"
    ]
