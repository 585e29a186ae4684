import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tsl.wandb import dashboard
from tsl.wandb.charts import CHARTS
from tsl.wandb.scalars import summaries

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style")  # of wandb_workspaces, when it is imported


@pytest.fixture(scope="module")
def panels() -> list[dict[str, Any]]:
    """The panels as W&B gets them."""
    view = dashboard.workspace("me", "tsl", layers=2, alignments=["cka"])._to_model().model_dump()
    sections = view["spec"]["section"]["panel_bank_config"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def of_type(panels: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [panel["config"] for panel in panels if panel["view_type"] == kind]


@pytest.mark.parametrize("axis", ["epoch", "trainer/global_step"])
def test_every_scalar_has_a_panel_against_epoch_and_step(panels: list[dict[str, Any]], axis: str) -> None:
    shown = [y for plot in of_type(panels, "Run History Line Plot") if plot["x_axis"] == axis for y in plot["metrics"]]
    assert sorted(shown) == sorted(summaries(2, {"cka": True}))


def test_panels_show_the_series_of_each_setting_too(panels: list[dict[str, Any]]) -> None:
    plots = [plot for plot in of_type(panels, "Run History Line Plot") if plot["x_axis"] == "epoch"]
    assert all(plot["use_metric_regex"] for plot in plots)
    for settings in ((), ("p=0.5", "p=1"), range(99)):
        for name in summaries(2, {"cka": True}, [str(setting) for setting in settings]):
            assert len([plot for plot in plots if re.search(plot["metric_regex"], name)]) == 1, name


def test_charts_pictures_and_tables_are_shown_by_the_keys_that_runs_log(panels: list[dict[str, Any]]) -> None:
    charts = of_type(panels, "Vega2")
    assert [chart["panel_def_id"] for chart in charts] == ["me/tsl-l-shape", "me/tsl-success-rate"]
    keys = [chart["user_query"]["query_fields"][0]["fields"][0]["args"][0]["value"] for chart in charts]
    assert keys == ["charts/l_shape_table", "charts/success_rate_table"]
    for chart, of_runs in zip(charts, CHARTS, strict=True):
        assert chart["field_settings"] == {column: column for column in of_runs.columns}
    pictures = [key for browser in of_type(panels, "Media Browser") for key in browser["media_keys"]]
    assert pictures == ["pictures/l_shape", "pictures/heat_map", "pictures/trajectories"]
    tables = [str(table) for table in of_type(panels, "Weave")]
    assert len(tables) == 2
    for table, key in zip(tables, ("nodes/teacher", "nodes/student"), strict=True):
        assert key in table


def test_settings_and_outcome_of_a_sweep_are_one_panel(panels: list[dict[str, Any]]) -> None:
    [plot] = of_type(panels, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in plot["columns"]]
    assert columns[0] == "config:model.value.init_args.student.init_args.multiplier"
    assert columns[-1] == "summary:val/loss.min"


def test_it_registers_the_charts_and_saves_the_workspace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registered: list[tuple[Any, ...]] = []
    view = SimpleNamespace(save=lambda: registered.append(("saved",)), url="https://example.org/view")
    api = SimpleNamespace(default_entity="me", create_custom_chart=lambda *chart: registered.append(chart))
    monkeypatch.setattr(dashboard, "logged_in", lambda: api)
    monkeypatch.setattr(dashboard, "workspace", lambda entity, project, layers, alignments: view)
    assert dashboard.main(["--layers", "2"]) == 0
    assert [entry[:2] for entry in registered[:-1]] == [("me", "tsl-l-shape"), ("me", "tsl-success-rate")]
    assert registered[-1] == ("saved",)
    assert capsys.readouterr().out == "https://example.org/view\n"


def test_what_w_and_b_refuses_is_said_in_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def refuse(*_: Any, **__: Any) -> None:
        raise wandb.errors.CommError("no\nrights")

    monkeypatch.setattr(
        dashboard, "logged_in", lambda: SimpleNamespace(default_entity="me", create_custom_chart=refuse)
    )
    monkeypatch.setattr(dashboard, "workspace", lambda *_: SimpleNamespace(save=refuse))
    assert dashboard.main([]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "warning: the custom chart me/tsl-l-shape was not registered (it may already exist): no rights",
        "warning: the custom chart me/tsl-success-rate was not registered (it may already exist): no rights",
        "error: W&B refused the workspace: no rights",
    ]


def test_without_a_login_or_a_package_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logged_out: None
) -> None:
    assert dashboard.main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: not logged in to W&B: ")
    assert told.count("\n") == 1
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert dashboard.main([]) == 2
    written = capsys.readouterr().err
    assert "wandb_workspaces is not installed: pip install 'teacher-student-lightning[dashboard]'" in written
