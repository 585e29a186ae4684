"""Make the W&B workspace that shows tsl's runs: `python -m tsl.create_dashboard --entity ME --project tsl`.

It registers the custom charts of `tsl.wandb.charts` with the entity, and saves a view of the project: losses
and specialization of each layer against epoch and against optimizer step, L-shape and success rate with filters,
pictures, tables of nodes, and how the settings of a sweep relate to its outcome. Needs
`pip install 'teacher-student-lightning[dashboard]'` and a login (`wandb login`).
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse.typing import PositiveInt

from tsl.errors import InputError
from tsl.names import LAYER_SCALARS, LEARNING_RATE, NULL, VAL_LOSS, alignment_scalar, specialization_scalar
from tsl.wandb.charts import CHARTS
from tsl.wandb.scalars import ACCURACIES, EPOCH, LOSSES, STEP

X_AXES = {"epoch": EPOCH, "step": STEP}
PICTURES = ("l_shape", "heat_map", "trajectories")
TABLES = ("teacher", "student")
SETTINGS = ("student.init_args.multiplier", "teacher_initialization.init_args.polarity", "optimizer.init_args.lr")


def workspace(entity: str, project: str, layers: int = 1, alignments: Sequence[str] = ()) -> Any:
    """Make the workspace, without saving it.

    Args:
        entity: User or team that owns it and the custom charts.
        project: Project whose runs it shows.
        layers: The number of hidden layers that have panels.
        alignments: Names of layer-wise alignments (`records.alignments`) that have panels.

    Returns:
        A `wandb_workspaces.workspaces.Workspace`.
    """
    from wandb_workspaces import workspaces

    sections = {
        "Losses": [
            panel for name in (*LOSSES, LEARNING_RATE) for panel in against_both(name, [name, f"{name}_std"], log=True)
        ],
        "Accuracy of runs on images": [
            panel for name in ACCURACIES for panel in against_both(name, [name, f"{name}_std"])
        ],
        "Specialization": layer_panels("specialization", specialization_scalar, [*LAYER_SCALARS.values()], layers),
        "Alignment": layer_panels(
            "alignment", alignment_scalar, [f"{name}{null}" for name in alignments for null in ("", NULL)], layers
        ),
        "L-shape and success rate": custom_charts(entity),
        "Pictures": pictures(),
        "Nodes": tables(),
        "Sweep": [outcome_of_settings(layers)],
    }
    pinned = ["run:displayName", f"summary:{VAL_LOSS}.min", f"summary:{specialization_scalar(1, 'rho_mean')}.max"]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name="tsl",
        sections=[
            workspaces.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items() if panels
        ],
        settings=workspaces.WorkspaceSettings(x_axis=EPOCH),
        runset_settings=workspaces.RunsetSettings(pinned_columns=pinned),
    )


def layer_panels(group: str, scalar: Callable[[int, str], str], names: Sequence[str], layers: int) -> list[Any]:
    """Panels with the curves of each quantity in every layer, against epoch and against step."""
    panels = []
    for name in names:
        keys = [scalar(layer, name) for layer in range(1, layers + 1)]
        panels += against_both(f"{group}: {name}", keys + [f"{key}_std" for key in keys])
    return panels


def against_both(title: str, scalars: list[str], log: bool = False) -> list[Any]:
    """Two panels of some scalars, and of their series for each setting: against epoch and against optimizer step."""
    from wandb_workspaces.reports import v2 as reports

    regex = f"^({'|'.join(map(re.escape, scalars))})(/.*)?$"
    return [
        reports.LinePlot(title=f"{title} by {words}", x=axis, y=[*scalars], metric_regex=regex, log_y=log or None)
        for words, axis in X_AXES.items()
    ]


def custom_charts(entity: str) -> list[Any]:
    """A panel for each custom chart, which draws the tables that runs log for it."""
    from wandb_workspaces.reports import v2 as reports

    return [
        reports.CustomChart(
            query={"summaryTable": {"tableKey": chart.table_key}},
            chart_name=f"{entity}/{chart.name}",
            chart_fields=chart.fields,
            chart_strings={"title": chart.title},
            layout=reports.Layout(w=12, h=10),
        )
        for chart in CHARTS
    ]


def pictures() -> list[Any]:
    """A browser through the epochs of each picture."""
    from wandb_workspaces.reports import v2 as reports

    layout = reports.Layout(w=12, h=10)
    return [reports.MediaBrowser(title=name, media_keys=[f"pictures/{name}"], layout=layout) for name in PICTURES]


def tables() -> list[Any]:
    """The tables of nodes."""
    from wandb_workspaces.reports import v2 as reports

    layout = reports.Layout(w=12, h=10)
    return [reports.WeavePanelSummaryTable(table_name=f"nodes/{name}", layout=layout) for name in TABLES]


def outcome_of_settings(layers: int) -> Any:
    """A plot of parallel coordinates: settings and outcome of each run whose settings do not differ in it."""
    from wandb_workspaces.reports import v2 as reports

    column = reports.ParallelCoordinatesPlotColumn
    settings = [column(metric=reports.Config(f"model.init_args.{name}")) for name in SETTINGS]
    of_layers = [specialization_scalar(layer, "rho_mean") for layer in range(1, layers + 1)]
    rho = [column(metric=reports.SummaryMetric(f"{name}.last")) for name in of_layers]
    loss = column(metric=reports.SummaryMetric(f"{VAL_LOSS}.min"), log=True)
    return reports.ParallelCoordinatesPlot(title="settings and outcome", columns=[*settings, *rho, loss])


def register_charts(api: Any, entity: str) -> None:
    """Register every custom chart with an entity of W&B; a line on stderr names each chart that W&B refuses."""
    import wandb

    for chart in CHARTS:
        try:
            api.create_custom_chart(entity, chart.name, chart.title, "vega2", "private", chart.spec)
        except wandb.errors.Error as error:
            reason = f"was not registered (it may already exist): {one_line(error)}"
            print(f"warning: the custom chart {entity}/{chart.name} {reason}", file=sys.stderr)


def save(dashboard: Any) -> None:
    """Save a workspace in W&B.

    Raises:
        InputError: If W&B refuses it.
    """
    import wandb

    try:
        dashboard.save()
    except wandb.errors.Error as error:
        raise InputError(f"W&B refused the workspace: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """An exception's message in one line."""
    return " ".join(str(error).split())


def logged_in() -> Any:
    """W&B's API.

    Raises:
        InputError: If a package or a login is missing.
    """
    try:
        import wandb
        import wandb_workspaces  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed: pip install 'teacher-student-lightning[dashboard]'"
        ) from error
    try:
        return wandb.Api()
    except wandb.errors.Error as error:
        raise InputError(f"not logged in to W&B: {one_line(error)}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.create_dashboard", description="Make the W&B workspace for tsl's runs."
    )
    parser.add_argument("--entity", help="user or team that owns the project (default: yours)")
    parser.add_argument("--project", default="tsl", help="project of the runs (default: tsl)")
    parser.add_argument("--layers", type=PositiveInt, default=1, metavar="L", help="hidden layers to show (default: 1)")
    parser.add_argument("--alignments", nargs="+", default=[], metavar="NAME", help="layer-wise alignments to show")
    asked = parser.parse_args(arguments)
    try:
        api = logged_in()
        entity = asked.entity or api.default_entity
        dashboard = workspace(entity, asked.project, asked.layers, asked.alignments)
        register_charts(api, entity)
        save(dashboard)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(dashboard.url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
