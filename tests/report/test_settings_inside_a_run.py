"""The report of a run whose replicates differ in two settings, held against that of a run of each setting."""

import base64
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.two_settings import LABELS, TwoSettings
from tsl.runs.records import recorded_epochs

DTYPES = {"float32": "<f4", "uint16": "<u2", "correlation": "<i2"}


def decoded(value: Any) -> Any:
    """What the page carries, its arrays decoded."""
    if isinstance(value, dict) and {*value} == {"kind", "bytes"}:
        return np.frombuffer(base64.b64decode(value["bytes"]), DTYPES[value["kind"]])
    if isinstance(value, dict):
        return {key: decoded(inner) for key, inner in value.items()}
    return [decoded(inner) for inner in value] if isinstance(value, list) else value


def groups_of(page: Path) -> list[dict[str, Any]]:
    """What the page draws, one for each row of its table of outcomes."""
    text = page.read_text().split('<script type="application/json" id="data">')[1].split("</script>")[0]
    return decoded(json.loads(text))["groups"]


def outcomes(page: Path) -> pd.DataFrame:
    """The cells of the table of outcomes."""
    head, body = re.findall(r"<thead>(.*?)</thead>\s*<tbody>(.*?)</tbody>", page.read_text(), re.DOTALL)[0]
    headings = [unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<th .*?</th>", head)]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [[unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]
    return pd.DataFrame(cells, columns=headings)


def assert_same(first: Any, second: Any) -> None:
    """Whether two pages draw the same, but for the rounding of training side by side."""
    if isinstance(first, dict):
        assert {*first} == {*second}
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, np.ndarray):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1 if first.dtype == np.int16 else 1e-7)
    else:
        assert first == second


@pytest.fixture
def pages(two_settings: TwoSettings, report: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """The report of all settings in one run, and that of a run of each."""
    together = report(two_settings.together).rename(tmp_path / "together.html")
    return together, report(*two_settings.alone)


def test_each_setting_has_the_curves_and_nodes_of_its_run_alone(pages: tuple[Path, Path]) -> None:
    together, alone = map(groups_of, pages)
    assert [group.pop("name") for group in together] == [f"tiny/together {label}" for label in LABELS]
    assert [group.pop("name") for group in alone] == [f"alone/{number}" for number in range(4)]
    assert [group["nodes"]["seeds"] for group in together] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert_same(together, alone)


def test_each_setting_has_a_row_in_the_table_of_outcomes(pages: tuple[Path, Path]) -> None:
    together, alone = map(outcomes, pages)
    assert list(together["polarity"]) == ["0.5", "1", "0.5", "1"]
    assert list(together["std"]) == ["0.1", "0.1", "0.2", "0.2"]
    same = [heading for heading in together if heading not in ("run", "seed_everything")]
    pd.testing.assert_frame_equal(together[same], alone[same])
    assert list(together["replicates"]) == ["2"] * 4
    assert "val mse" in same


def test_what_differs_inside_the_run_is_said(pages: tuple[Path, Path], two_settings: TwoSettings) -> None:
    text = pages[0].read_text()
    assert "A run whose settings differ along its replicates" in text
    assert "A run whose settings differ along its replicates" not in pages[1].read_text()
    differing = text.split('<h2 id="settings-heading">')[1].split("</section>")[0]
    assert "student_initialization.init_args.std</code>" in differing
    assert f"<b>0.1</b> tiny/together {LABELS[0]}, tiny/together {LABELS[1]}</li>" in differing
    assert recorded_epochs(two_settings.together, "replicates") == [0]
