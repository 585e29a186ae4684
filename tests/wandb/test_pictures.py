"""What is drawn while a run trains, held beside the records."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.made_up_runs import fake_run
from tsl.figures.curves import unfinished
from tsl.runs.records import read_table
from tsl.wandb import pictures as wandb_pictures
from tsl.wandb.pictures import chosen_trajectories, pictures, recorded


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run(tmp_path_factory.mktemp("run") / "E4/a", teacher_nodes=12, pairs=True, layers=2)


def test_rows_are_read_as_the_whole_table_would_be(run: Path) -> None:
    expected = read_table(run, "pairs").query("epoch == 3 and replicate == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(recorded(run, "pairs", epoch=3, replicate=0)[list(expected)], expected)


def test_trajectories_are_of_nodes_spread_over_the_layer_and_their_closest_students(run: Path) -> None:
    chosen, rows = chosen_trajectories(run, epoch=4)
    assert chosen == [1, 4, 7, 9, 12]
    assert {*rows["epoch"]} == {0, 1, 2, 3, 4}
    assert ({*rows["layer"]}, {*rows["replicate"]}, {*rows["split"]}) == ({1}, {0}, {"val"})
    now = read_table(run, "pairs").query("epoch == 4 and layer == 1 and replicate == 0")
    closest = set()
    for node in chosen:
        of_node = now[now["teacher_node"] == node].sort_values("correlation")
        closest |= {*of_node["student_node"].iloc[-4:]}
    assert {*rows["student_node"]} == closest


def test_figures_are_drawn_from_the_rows_of_the_epoch(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    for name in ("l_shape", "heat_map", "trajectories"):
        [table] = getattr(wandb_pictures, name).TABLES

        def draw(runs: Any, name: str = name, table: str = table, **settings: Any) -> Figure:
            drawn[name] = runs[0].table(table), settings
            assert unfinished(runs, table) == []  # the run goes on, so nothing is missing from its pictures
            return Figure()

        monkeypatch.setattr(getattr(wandb_pictures, name), "draw", draw)
    found = pictures(run, 4)
    assert {*found} == {*drawn}
    nodes = read_table(run, "student_nodes").query("epoch == 4").reset_index(drop=True)
    pd.testing.assert_frame_equal(drawn["l_shape"][0][list(nodes)], nodes)
    assert drawn["l_shape"][1] == {"epochs": [4]}
    pairs, settings = drawn["heat_map"]
    assert ({*pairs["epoch"]}, {*pairs["replicate"]}, settings) == ({4}, {0}, {"epoch": 4})
    assert {*drawn["trajectories"][0]["epoch"]} == {0, 1, 2, 3, 4}


def test_without_pairs_the_l_shape_alone_is_drawn(tmp_path: Path) -> None:
    assert {*pictures(fake_run(tmp_path / "E1/a"), 6)} == {"l_shape"}
