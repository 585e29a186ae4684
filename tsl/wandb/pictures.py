"""Pictures of a run while it trains: figures of `tsl.figures`, drawn from the records so far."""

from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from tsl.figures import heat_map, l_shape, trajectories
from tsl.figures.style import PRINT
from tsl.runs import Run
from tsl.runs.records import read_config, recorded_epochs

MOST_PANELS = 5
MOST_CURVES = 4
DPI = 200


class Picture(NamedTuple):
    """A picture and its caption."""

    image: Image.Image
    caption: str


def pictures(run: Path, epoch: int) -> dict[str, Picture]:
    """The pictures of one recorded epoch, by name.

    Args:
        run: The run's directory.
        epoch: Epochs trained; nodes have to be recorded at this epoch.

    Returns:
        The L-shape and, if the run records `pairs`, the correlation heat map and the trajectories of the first
        replicate.
    """
    groups = Run(run).groups
    of_first = "replicate 0" + (f" ({groups[0].label})" if groups[0].label else "")
    config = read_config(run)
    config["trainer"] = config["trainer"] | {
        "max_epochs": epoch
    }  # else figures would note that records end before the last epoch

    def picture(figure: ModuleType, rows: pd.DataFrame, caption: str, **settings: Any) -> Picture:
        drawn = figure.draw([Run(run, tables={figure.TABLES[0]: rows}, config=config)], **settings)
        return Picture(rasterized(drawn), f"epoch {epoch}: {caption}")

    nodes = recorded(run, "student_nodes", epoch=epoch)
    of_settings = f"student nodes{f' of {len(groups)} settings' if len(groups) > 1 else ''}"
    drawn = {"l_shape": picture(l_shape, nodes, of_settings, epochs=[epoch])}
    if is_recorded(run, "pairs", epoch):
        pairs = recorded(run, "pairs", epoch=epoch, replicate=0)
        words = f"{of_first}, students sorted by their best teacher"
        drawn["heat_map"] = picture(heat_map, pairs, words, epoch=epoch)
        chosen, curves = chosen_trajectories(run, epoch)
        words = f"{of_first}, lowest layer, teacher nodes {chosen} and the {MOST_CURVES} students closest to each"
        drawn["trajectories"] = picture(trajectories, curves, words, replicates=[0])
    return drawn


def chosen_trajectories(run: Path, epoch: int) -> tuple[list[int], pd.DataFrame]:
    """A few teacher nodes, spread over the lowest layer, and the rows of `pairs` of them and their closest students.

    A figure of all nodes takes minutes if layers are wide.
    """
    of_layer: dict[str, Any] = {"split": "val", "layer": 1, "replicate": 0}
    now = recorded(run, "pairs", **of_layer, epoch=epoch)
    nodes = sorted(now["teacher_node"].unique().tolist())
    count = min(MOST_PANELS, len(nodes))
    chosen = [nodes[round(index * (len(nodes) - 1) / max(1, count - 1))] for index in range(count)]
    of_chosen = now[now["teacher_node"].isin(chosen)].sort_values("correlation", ascending=False)
    closest = of_chosen.groupby("teacher_node").head(MOST_CURVES)["student_node"].unique().tolist()
    rows = recorded(run, "pairs", **of_layer, teacher_node=chosen, student_node=closest)
    return chosen, rows[rows["epoch"] <= epoch]


def recorded(run: Path, table: str, **equal: Any) -> pd.DataFrame:
    """The rows of a table whose columns have these values (or one of a list of values); other rows are not read."""
    filters = [(column, "in", value if isinstance(value, list) else [value]) for column, value in equal.items()]
    keys = [key for key in ("epoch", *equal) if key != "split"]
    return pd.read_parquet(run / "records" / table, filters=filters).sort_values(keys, ignore_index=True)


def is_recorded(run: Path, table: str, epoch: int) -> bool:
    """Whether a run has written a table at this epoch."""
    return epoch in recorded_epochs(run, table)


def rasterized(figure: Figure) -> Image.Image:
    """A figure as pixels."""
    buffer = BytesIO()
    with mpl.rc_context(PRINT):
        figure.savefig(buffer, format="png", dpi=DPI)
    return Image.open(buffer)
