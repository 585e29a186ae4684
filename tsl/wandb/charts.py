"""Custom charts for W&B: Vega-Lite specifications with filters, and the tables that they draw.

`tsl.wandb.dashboard` registers the specifications; `WandbBoard` logs the tables. W&B replaces `${field:x}` by the name
of a column.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tsl.names import RECOVERED, THRESHOLDS
from tsl.runs import Run

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
MOST_LAYERS = 16
MOST_ROWS = 10_000
"""The most rows of a table that W&B shows and uses in charts."""


@dataclass(frozen=True)
class Chart:
    """A custom chart.

    Attributes:
        name: The name of its specification in W&B.
        title: The title above it.
        columns: The columns of its table, which are also the fields of its specification.
        spec: The Vega-Lite specification.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    spec: dict[str, Any]

    @property
    def key(self) -> str:
        """The name under which a run logs it."""
        return f"charts/{self.name.removeprefix('tsl-').replace('-', '_')}"

    @property
    def table_key(self) -> str:
        """The name under which W&B keeps its table."""
        return f"{self.key}_table"

    @property
    def fields(self) -> dict[str, str]:
        """The column for each field of the specification."""
        return {column: column for column in self.columns}


def _slider(name: str, words: str, value: float, least: float, most: float, step: float) -> dict[str, Any]:
    bind = {"input": "range", "name": f"{words} ", "min": least, "max": most, "step": step}
    return {"name": name, "value": value, "bind": bind}


def _field(column: str, title: str, kind: str = "quantitative", **more: Any) -> dict[str, Any]:
    return {"field": f"${{field:{column}}}", "type": kind, "title": title, **more}


def _datum(column: str) -> str:
    return f"datum['${{field:{column}}}']"


_CURVE = {"calculate": f"trim(datum['name'] + ' ' + {_datum('setting')})", "as": "curve"}
"""The column by which marks are coloured and joined: the run, or the run with a setting."""

_LAYER = _slider("layer", "layer", 1, 1, MOST_LAYERS, 1)

L_SHAPE = Chart(
    name="tsl-l-shape",
    title="L-shape: strength of student nodes against their best correlation",
    columns=("setting", "layer", "replicate", "node", "best_teacher", "best_correlation", "strength"),
    spec={
        "$schema": SCHEMA,
        "data": {"name": "wandb"},
        "params": [
            _LAYER,
            _slider("replicate", "replicate (-1: all)", -1, -1, 127, 1),
            _slider("teacher_node", "best teacher node (0: all)", 0, 0, 500, 1),
            _slider("least_strength", "least strength", 0, 0, 1, 0.01),
        ],
        "transform": [
            {"filter": f"{_datum('layer')} == layer"},
            {"filter": f"replicate < 0 || {_datum('replicate')} == replicate"},
            {"filter": f"teacher_node < 1 || {_datum('best_teacher')} == teacher_node"},
            {"filter": f"{_datum('strength')} >= least_strength"},
            _CURVE,
        ],
        "mark": {"type": "circle", "opacity": 0.7, "tooltip": {"content": "data"}},
        "encoding": {
            "x": _field("best_correlation", "best correlation of student node"),
            "y": _field("strength", "strength of student node"),
            "color": {"field": "curve", "type": "nominal", "title": "run"},
        },
    },
)

SUCCESS_RATE = Chart(
    name="tsl-success-rate",
    title="Success rate: share of the replicates of a setting that recover each teacher node",
    columns=("setting", "layer", "node", "threshold", "success_rate"),
    spec={
        "$schema": SCHEMA,
        "data": {"name": "wandb"},
        "params": [
            _LAYER,
            {
                "name": "threshold",
                "value": RECOVERED,
                "bind": {"input": "select", "name": "recovered above ", "options": [*THRESHOLDS]},
            },
        ],
        "transform": [
            {"filter": f"{_datum('layer')} == layer"},
            {"filter": f"abs({_datum('threshold')} - threshold) < 0.001"},
            _CURVE,
        ],
        "mark": {"type": "line", "point": True, "tooltip": {"content": "data"}},
        "encoding": {
            "x": _field("node", "teacher node"),
            "y": _field("success_rate", "success rate", scale={"domain": [0, 1]}),
            "color": {"field": "curve", "type": "nominal", "title": "run"},
        },
    },
)

CHARTS = (L_SHAPE, SUCCESS_RATE)


def table(frame: pd.DataFrame) -> Any:
    """A frame as a `wandb.Table`, in a quarter of the time that wandb's own conversion takes.

    If a frame with a column `replicate` has more than `MOST_ROWS` rows, only the first replicates are kept, or the
    first of each setting.
    """
    import wandb

    if "replicate" in frame and len(frame) > MOST_ROWS:
        replicates = frame[[name for name in ("setting", "replicate") if name in frame]].drop_duplicates()
        turn = replicates.groupby("setting").cumcount() if "setting" in frame else replicates["replicate"]
        in_turn = replicates["replicate"].iloc[turn.argsort(kind="stable")]
        shown = max(1, MOST_ROWS * len(replicates) // len(frame))
        frame = frame[frame["replicate"].isin(in_turn[:shown])]
    return wandb.Table(columns=[*map(str, frame)], data=[list(row) for row in frame.itertuples(index=False, name=None)])


def with_settings(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """A table of a run's records with a column `setting`: the row's values of the settings that differ in the run."""
    labels = {replicate: group.label for group in run.groups for replicate in group.replicates}
    return frame.assign(setting=frame["replicate"].map(labels).fillna(""))


def l_shape_table(student_nodes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `L_SHAPE`, from the table `student_nodes` of one epoch `with_settings`; on validation data."""
    return student_nodes[student_nodes["split"] == "val"][list(L_SHAPE.columns)]


def success_rate_table(teacher_nodes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `SUCCESS_RATE`, from the table `teacher_nodes` of one epoch `with_settings`; on validation data."""
    thresholds = {
        name: float(name.removeprefix("recovered_")) for name in map(str, teacher_nodes) if "recovered_" in name
    }
    by_node = teacher_nodes[teacher_nodes["split"] == "val"].groupby(["setting", "layer", "node"], sort=False)
    rates = by_node[list(thresholds)].mean()
    rows = rates.rename(columns=thresholds).rename_axis(columns="threshold").stack().rename("success_rate")
    return rows.reset_index()[list(SUCCESS_RATE.columns)]
