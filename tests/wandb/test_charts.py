"""The Vega-Lite specifications, drawn by Vega itself."""

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pandas as pd
import pytest
import vl_convert

from tsl.wandb.charts import CHARTS, L_SHAPE, MOST_ROWS, SUCCESS_RATE, Chart, table

NODES = pd.DataFrame(
    {
        "setting": "",
        "layer": [1, 1, 1, 2],
        "replicate": [0, 0, 1, 0],
        "node": [1, 2, 1, 1],
        "best_teacher": [1, 2, 2, 1],
        "best_correlation": [0.99, 0.2, 0.5, 0.9],
        "strength": [0.8, 0.01, 0.4, 0.5],
    }
)
RATES = pd.DataFrame(
    {
        "setting": "",
        "layer": [1, 1, 1, 1, 2],
        "node": [1, 2, 1, 2, 1],
        "threshold": [0.5, 0.5, 0.95, 0.95, 0.95],
        "success_rate": [1.0, 1.0, 1.0, 0.5, 0.0],
    }
)


def drawn(chart: Chart, rows: pd.DataFrame, **chosen: float) -> ElementTree.Element:
    """What is drawn of a table, as W&B fills in its rows and fields, with some filters moved."""
    text = json.dumps(chart.spec)
    for field, column in chart.fields.items():
        text = text.replace(f"${{field:{field}}}", column)
    assert "${" not in text
    spec: dict[str, Any] = json.loads(text)
    spec["data"] = {"values": rows.assign(name="run").to_dict("records")}
    for parameter in spec["params"]:
        parameter["value"] = chosen.pop(parameter["name"], parameter["value"])
    assert not chosen
    return ElementTree.fromstring(vl_convert.vegalite_to_svg(spec))


def marks(chart: Chart, rows: pd.DataFrame, **chosen: float) -> int:
    """How many points are drawn."""
    points = [
        group
        for group in drawn(chart, rows, **chosen).iter()
        if "role-mark" in group.get("class", "") and "symbol" in group.get("class", "")
    ]
    return sum(len(list(group)) for group in points)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, 3), ({"layer": 2}, 1), ({"replicate": 1}, 1), ({"teacher_node": 2}, 2), ({"least_strength": 0.1}, 2)],
)
def test_the_l_shape_is_filtered(chosen: dict[str, float], expected: int) -> None:
    assert marks(L_SHAPE, NODES, **chosen) == expected


@pytest.mark.parametrize(("chosen", "expected"), [({}, 2), ({"layer": 2}, 1), ({"threshold": 0.5, "layer": 1}, 2)])
def test_the_success_rate_is_filtered(chosen: dict[str, float], expected: int) -> None:
    assert marks(SUCCESS_RATE, RATES, **chosen) == expected


def test_each_setting_of_a_run_is_a_curve_of_its_own() -> None:
    """Two paths of two points each, and a legend that names both."""
    rates = pd.concat([RATES.assign(setting=f"polarity={value}", success_rate=value) for value in (0, 1)])
    drawing = drawn(SUCCESS_RATE, rates)
    paths = [element.get("d", "") for element in drawing.iter() if element.get("aria-roledescription") == "line mark"]
    assert [path.count("L") for path in paths] == [1, 1]
    text = "".join(drawing.itertext())
    assert "run polarity=0" in text
    assert "run polarity=1" in text


def test_a_long_table_keeps_replicates_of_each_setting() -> None:
    frame = pd.DataFrame({"replicate": [r for r in range(8) for _ in range(3000)]})
    frame["setting"] = [f"p={replicate // 4}" for replicate in frame["replicate"]]
    kept = pd.DataFrame(table(frame).data, columns=list(frame))
    assert {*kept["replicate"]} == {0, 1, 4}


def test_every_field_of_a_specification_is_a_column() -> None:
    for chart in CHARTS:
        used = {part.split("}")[0] for part in json.dumps(chart.spec).split("${field:")[1:]}
        assert used <= {*chart.columns}


def test_a_long_table_keeps_whole_replicates() -> None:
    frame = pd.DataFrame({"replicate": [r for r in range(8) for _ in range(3000)], "node": [*range(3000)] * 8})
    kept = pd.DataFrame(table(frame).data, columns=["replicate", "node"])
    assert len(kept) == 9000 <= MOST_ROWS
    pd.testing.assert_frame_equal(kept, frame[:9000])
