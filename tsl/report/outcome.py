"""The table of outcomes: the last recorded epoch of each group of replicates, as mean ± standard deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from tsl.names import ACCURACY_COLUMNS, FRACTION_RECOVERED, NULL
from tsl.report.curves import SIZES, measures
from tsl.runs import ReplicateGroup
from tsl.runs.settings import MULTIPLIER, POLARITY, RECORDING, differences, names_in_words
from tsl.runs.status import COMPLETE

MOST_SETTINGS = 4
"""The most settings with a column. Settings that differ inside a run always have one. "What differs" shows all."""


SHARES = (FRACTION_RECOVERED, *ACCURACY_COLUMNS)
"""Measures that are shown in per cent, as in the terminal."""

LOSSES = ("val_mse", *ACCURACY_COLUMNS)
LAYERS = ("ρ_mean", "recovered")
"""The measures in the table; the figures show every other measure."""


@dataclass(frozen=True)
class Cell:
    """A cell's text, and the value by which it is sorted: numbers before words, empty cells last."""

    text: str
    value: float | str | None


@dataclass
class Row:
    """The cells of a group of replicates by their headings."""

    group: ReplicateGroup
    cells: dict[str, Cell] = field(default_factory=dict)


def outcome_rows(
    groups: Sequence[ReplicateGroup], losses: Sequence[pd.DataFrame], layers: Sequence[pd.DataFrame]
) -> list[Row]:
    """The rows of the table.

    Args:
        groups: The groups of replicates of all runs.
        losses: The table `losses` of each group, empty if there is none.
        layers: The table `layers` of each group, empty if there is none.
    """
    settings = differences([_settings_of(group) for group in groups], (*RECORDING, "replicates"))
    varying = dict.fromkeys(key for group in groups for key in group.varying)
    others = [key for key in settings if key not in varying]
    others.sort(key=lambda key: (key not in (MULTIPLIER, POLARITY), not key.startswith("model.")))
    headings = names_in_words([*varying, *others[: max(0, MOST_SETTINGS - len(varying))]])
    rows = []
    for index, group in enumerate(groups):
        run, row = group.run, Row(group)
        of_losses = _last(losses[index].drop(columns=list(SIZES), errors="ignore"))
        of_layers = _layers(layers[index])
        outcome = {in_words(name): of_losses[in_words(name)] for name in LOSSES if in_words(name) in of_losses}
        outcome |= {name: cell for name, cell in of_layers.items() if name.startswith(LAYERS)}
        row.cells = outcome or of_losses | of_layers
        row.cells |= {heading: _setting(_settings_of(group).get(key)) for key, heading in headings.items()}
        epochs = [int(frame["epoch"].max()) for frame in (losses[index], layers[index]) if len(frame)]
        if epochs:
            planned = f" of {run.planned_epochs}" if run.planned_epochs is not None else ""
            row.cells["epoch"] = Cell(f"{max(epochs)}{planned}", max(epochs))
        row.cells["replicates"] = Cell(str(len(group.replicates)), len(group.replicates))
        row.cells["state"] = Cell(run.state, run.state)
        rows.append(row)
    return rows


def outcome_table(rows: Sequence[Row]) -> str:
    """The rows as HTML. In the page, outcome.js sorts them and chooses the row whose name is clicked."""
    headings = list(dict.fromkeys(heading for row in rows for heading in row.cells))
    alike = [name for name in ("epoch", "state") if len({row.cells.get(name) for row in rows}) == 1]
    if len(rows) > 1 and all(row.group.run.state == COMPLETE for row in rows):
        headings = [heading for heading in headings if heading not in alike]
    numbers = {heading for row in rows for heading, cell in row.cells.items() if _is_number(cell)}
    head = "".join(_heading(heading, heading in numbers) for heading in ["run", *headings])
    body = []
    for index, row in enumerate(rows):
        name = escape(row.group.name)
        cells = "".join(_cell(row.cells.get(heading)) for heading in headings)
        button = f'<button type="button" data-run="{index}">{name}</button>'
        body.append(f'<tr><th scope="row" data-value="{name}">{button}</th>{cells}</tr>')
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody>"


def in_words(name: str) -> str:
    """The heading of a column.

    >>> in_words("rho_mean"), in_words("recovered_fraction_0.95"), in_words("val_mse")
    ('ρ_mean', 'recovered', 'val mse')
    """
    known = {"rho_mean": "ρ_mean", FRACTION_RECOVERED: "recovered", "cka": "CKA"}
    return known.get(name, name.replace("_", " "))


def _settings_of(group: ReplicateGroup) -> dict[str, Any]:
    return group.settings if group.run.config else group.varying


def _last(frame: pd.DataFrame, where: str = "") -> dict[str, Cell]:
    if frame.empty:
        return {}
    last = frame[frame["epoch"] == frame["epoch"].max()]
    return {in_words(name) + where: _spread(last[name], name in SHARES) for name in measures(last)}


def _layers(layers: pd.DataFrame) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for layer, rows in layers.groupby("layer") if len(layers) else ():
        names = [name for name in measures(rows) if not name.endswith(NULL)]
        cells |= _last(rows[["epoch", *names]], f", layer {layer}" if layers["layer"].nunique() > 1 else "")
    return cells


def _spread(values: pd.Series, in_percent: bool) -> Cell:
    finite = values[np.isfinite(values.astype(float))].astype(float)
    if finite.empty:
        return Cell("not finite", None)
    text = with_uncertainty(finite.mean(), finite.std() if len(finite) > 1 else None, in_percent)
    left_out = len(values) - len(finite)
    return Cell(f"{text}, {left_out} not finite" if left_out else text, float(finite.mean()))


def with_uncertainty(mean: float, std: float | None, in_percent: bool = False) -> str:
    """A mean and its standard deviation in words; the latter has two digits, and both end at the same decimal place.

    >>> with_uncertainty(0.96234, 0.01234), with_uncertainty(2.4412e-8, 3e-9), with_uncertainty(0.952, 0.031, True)
    ('0.962 ± 0.012', '(2.44 ± 0.30)e-8', '95.2 ± 3.1%')
    >>> with_uncertainty(1.0, 0.0), with_uncertainty(1.0, 2e-6), with_uncertainty(0.00012345, None)
    ('1.00 ± 0', '1.0000 ± 2e-06', '1.23e-4')
    """
    unit = "%" if in_percent else ""
    mean, std = (100 * mean, std and 100 * std) if in_percent else (mean, std)
    largest = max(abs(mean), std or 0.0)
    exponent = math.floor(math.log10(largest)) if largest and not in_percent else 0
    exponent = 0 if -2 <= exponent < 5 else exponent
    scaled = mean / 10.0**exponent
    digits = 2 - math.floor(math.log10(abs(scaled))) if scaled else 2
    if not std:
        words = f"{scaled:.{max(0, min(digits, 4))}f}" + ("" if std is None else " ± 0")
    else:
        spread = std / 10.0**exponent
        places = max(0, 1 - math.floor(math.log10(spread)))
        words = f"{scaled:.{places}f} ± {spread:.{places}f}" if places <= 4 else f"{scaled:.4f} ± {spread:.0e}"
    if exponent:
        return f"({words})e{exponent}" if "±" in words else f"{words}e{exponent}"
    return f"{words}{unit}"


def _setting(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = "–" if value is None else str(value).removeprefix("tsl.")
        return Cell(text, None if value is None else text)
    return Cell(f"{value:g}", float(value))


def _is_number(cell: Cell) -> bool:
    return isinstance(cell.value, float | int)


def _heading(heading: str, of_numbers: bool) -> str:
    number = ' class="number"' if of_numbers else ""
    return f'<th scope="col"{number} aria-sort="none"><button type="button">{escape(heading)}</button></th>'


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    number = ' class="number"' if _is_number(cell) else ""
    value = "" if cell.value is None else f' data-value="{escape(str(cell.value))}"'
    return f"<td{number}{value}>{escape(cell.text)}</td>"
