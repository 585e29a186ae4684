"""The results of an experiment beside published numbers: `<root>/<scale>/<experiment>.json`, and tables of it."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from tsl.experiments.outcomes import Outcome, outcomes
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.statistic import References, Statistic, verdict
from tsl.runs import Run
from tsl.runs.settings import in_words
from tsl.runs.status import read_status
from tsl.runs.whole_files import written_whole


def results_of(
    experiment: str, scale: str, runs: Sequence[PlannedRun], outcome: Outcome, over: Sequence[str]
) -> dict[str, Any]:
    """The results of runs: a row for each run, or for each setting that differs along its replicates.

    Args:
        experiment: Its name, which selects the published numbers. These hold for the paper's scale.
        scale: "quick" or "paper".
        runs: Complete runs.
        outcome: Function that returns the statistics of replicates with the same settings.
        over: Settings in which the replicates of one outcome may differ.

    Returns:
        Numbers and strings for JSON. Each row has `cell`, the value of each axis; `setting`, in which its replicates
        differ from others of the run; `statistics`, by name, each either a note or mean, std, seeds, in_words,
        published, source and verdict; `minutes`, the run's wall time since it last started; and `commit`.
    """
    references = References(experiment)
    rows = []
    for run in runs:
        status = read_status(run.path)
        for group, of_group in outcomes(Run(run.path), outcome, over):
            cell = {axis: in_words(value) for axis, value in run.cell.items()}
            rows.append(
                {
                    "cell": cell,
                    "setting": group.label,
                    "statistics": {
                        name: judged(value, references, cell if scale == "paper" else {}, name)
                        for name, value in of_group.items()
                    },
                    "minutes": minutes(status),
                    "commit": status.get("environment", {}).get("git_commit"),
                }
            )
    return {"experiment": experiment, "scale": scale, "rows": rows}


def judged(value: Statistic | str, references: References, cell: Mapping[str, str], name: str) -> dict[str, Any]:
    """A statistic beside its published number; there is none for a cell without axes."""
    if isinstance(value, str):
        return {"note": value}
    published = references.find(cell, name) if cell else None
    return {
        "mean": value.mean if math.isfinite(value.mean) else str(value.mean),
        "std": value.std,
        "seeds": value.seeds,
        "in_words": value.in_words,
        "published": None if published is None else published.in_words,
        "source": None if published is None else published.source,
        "verdict": verdict(value, published),
    }


def minutes(status: Mapping[str, Any]) -> float | None:
    """Wall time of a run since it last started; None if that is unknown."""
    if not {"started", "ended"} <= status.keys():
        return None
    start, end = (datetime.fromisoformat(status[name]) for name in ("started", "ended"))
    return round((end - start).total_seconds() / 60, 1)


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write results as JSON, whole or not at all; an existing file keeps its rows of other cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    cells = [row["cell"] for row in results["rows"]]
    rows = [*(row for row in before if row["cell"] not in cells), *results["rows"]]
    results = {**results, "rows": sorted(rows, key=lambda row: [sortable(value) for value in row["cell"].values()])}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def sortable(value: str) -> tuple[float, str]:
    """A sort key that puts numbers first, by their size, and then words."""
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value


def cells_of(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of a table of results, in words."""
    rows = results["rows"]
    axes = [axis for axis in rows[0]["cell"] if len({row["cell"][axis] for row in rows}) > 1] or list(rows[0]["cell"])
    settings = ["setting"] if any(row["setting"] for row in rows) else []
    names = list(rows[0]["statistics"])
    seeds = ["seeds"] if any("seeds" in value for row in rows for value in row["statistics"].values()) else []
    lines = []
    for row in rows:
        of_row = [value["seeds"] for value in row["statistics"].values() if "seeds" in value]
        line = [row["cell"][axis] for axis in axes] + [row["setting"] for _ in settings]
        line += [str(max(of_row, default=0)) for _ in seeds]
        lines.append(line + [statistic_in_words(row["statistics"][name]) for name in names])
    return [*axes, *settings, *seeds, *names], lines


def statistic_in_words(value: Mapping[str, Any]) -> str:
    """A statistic with its verdict, if there is a reference: "-2.987 ± 0.211 (inside -3 ± 0.1)"."""
    if "note" in value:
        return str(value["note"])
    beside = "" if value["published"] is None else f" ({value['verdict']} {value['published']})"
    return f"{value['in_words']}{beside}"


def closing_table(results: Mapping[str, Any]) -> Table:
    """The table that `tsl reproduce` prints at its end."""
    heading, lines = cells_of(results)
    columns = [Column(name, overflow="fold") for name in heading]
    table = Table(*columns, title=f"{results['experiment']}, {results['scale']} scale")
    for line in lines:
        table.add_row(*line)
    return table


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a table in Markdown, with the wall time of every run."""
    heading, lines = cells_of(results)
    times = ["" if row["minutes"] is None else f"{row['minutes']:g} min" for row in results["rows"]]
    lines = [[*line, time] for line, time in zip(lines, times, strict=True)]
    heading = [*heading, "wall time"]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heading, ["---"] * len(heading), *lines))
