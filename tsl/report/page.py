"""The page: one HTML file with the data, the code that draws it, and plotly.js inside."""

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import pandas as pd
from matplotlib.colors import to_hex
from plotly.offline import get_plotlyjs

from tsl.errors import InputError
from tsl.figures.style import PALETTE, SEQUENCE
from tsl.report.certificate import certificate_data
from tsl.report.curves import layer_curves, logged_losses, loss_curves
from tsl.report.heat_map import pair_data
from tsl.report.l_shape import node_data
from tsl.report.outcome import in_words, outcome_rows, outcome_table
from tsl.report.runs import differing_kinds, evaluated
from tsl.report.settings import differences_table, environments, run_details
from tsl.runs import ReplicateGroup, Run
from tsl.runs.cost import total_cost

SCRIPTS = (
    "decode.js",
    "outcome.js",
    "plots.js",
    "curves.js",
    "l_shape.js",
    "heat_map.js",
    "certificate.js",
    "start.js",
)
NODE_BYTES, PAIR_BYTES, CERTIFICATE_BYTES = 4.5e6, 3.5e6, 1e6
"""The most bytes of data for all rows of the table of outcomes together, before base64 makes 4 bytes of 3."""
SETTINGS_DIFFER = (
    "A run whose settings differ along its replicates has a row, curves and nodes for each of these settings."
)


def make_page(runs: Sequence[Run], notes: Sequence[str]) -> str:
    """The report as HTML.

    Args:
        runs: The runs, at least one.
        notes: Notes to show before those of the runs.

    Raises:
        InputError: If there is nothing to draw.
    """
    groups = [group for run in runs for group in run.groups]
    losses = [_losses(group) for group in groups]
    layers = [evaluated(group, "layers", needed=["rho_mean"]) for group in groups]
    data = {
        "palette": PALETTE,
        "sequence": [to_hex(SEQUENCE(step / 10)) for step in range(11)],
        "words": {str(name): in_words(str(name)) for frame in (*losses, *layers) for name in frame},
        "groups": [
            {
                "name": group.name,
                "losses": loss_curves(losses[index]),
                "layers": layer_curves(layers[index]),
                "nodes": node_data(group, NODE_BYTES / len(groups)),
                "pairs": pair_data(group, PAIR_BYTES / len(groups)),
                "certificate": certificate_data(group, CERTIFICATE_BYTES / len(groups)),
            }
            for index, group in enumerate(groups)
        ],
    }
    last_epochs = {
        id(group.run): int(frame["epoch"].max()) if len(frame) else None
        for group, frame in zip(groups, losses, strict=True)
    }
    all_notes = [*notes, *differing_kinds(runs)]
    all_notes += [note for run in runs for note in _notes_of(run, last_epochs[id(run)])]
    if not any(len(frame) for frame in (*losses, *layers)):
        raise InputError(f"none of the runs has records: {'; '.join(all_notes)}")
    cost = total_cost(run.path for run in runs)
    table = outcome_table(outcome_rows(groups, losses, layers))
    experiments = list(dict.fromkeys(str(run.config.get("experiment", run.name)) for run in runs))
    title = f"{', '.join(experiments[:3])}{' …' if len(experiments) > 3 else ''}"
    return _template("page.html").substitute(
        title=escape(title),
        count=f"{len(runs)} run{'s' if len(runs) > 1 else ''}",
        cost=escape(f", {cost}" if cost.student_steps else ""),
        settings="" if len(groups) == len(runs) else SETTINGS_DIFFER,
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        style=_text("style.css"),
        notes="".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(all_notes)),
        outcome=table,
        differences=differences_table(runs),
        details=run_details(runs),
        environments=environments(runs),
        # no "<" at all: "</" would end the element, and "<!--" with "<script" would keep it from ending.
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
        script="\n".join(_text(name) for name in SCRIPTS),
    )


def _losses(group: ReplicateGroup) -> pd.DataFrame:
    losses = evaluated(group, "losses")
    return logged_losses(group) if losses.empty else losses


def _notes_of(run: Run, last: int | None) -> list[str]:
    """The notes on a run whose losses end at an epoch."""
    notes = [f"{run.name}: {note}" for note in run.notes]
    if last is None:
        notes.append(f"{run.name}: it has no losses yet; it stopped before its first evaluation, or has not reached it")
    elif run.planned_epochs is not None and last < run.planned_epochs:
        notes.append(f"{run.name}: {run.state}, its records end at epoch {last} of {run.planned_epochs}")
    if error := run.status.get("error"):
        notes.append(f"{run.name}: {error}")
    return notes


def _template(name: str) -> Template:
    return Template(_text(name))


def _text(name: str) -> str:
    return (Path(str(files("tsl.report"))) / "page" / name).read_text(encoding="utf-8")
