"""Losses and measures of whole layers over training: mean, least and greatest of the replicates at every epoch."""

from typing import Any

import numpy as np
import pandas as pd

from tsl.report.packing import packed
from tsl.runs import ReplicateGroup
from tsl.runs.records import KEYS

SIZES = ("train_size", "augmented_size")
"""Columns of `losses` that are settings rather than measures."""


def loss_curves(losses: pd.DataFrame) -> dict[str, Any]:
    """The curves of the table `losses`: `epochs`, and for each column its `mean`, `low` and `high`."""
    return _curves(losses.drop(columns=list(SIZES), errors="ignore"))


def layer_curves(layers: pd.DataFrame) -> list[dict[str, Any]]:
    """The curves of the table `layers` for each `layer`, as in `loss_curves`; null levels are columns "…_null"."""
    if layers.empty:
        return []
    return [{"layer": int(str(layer)), **_curves(rows)} for layer, rows in layers.groupby("layer")]


def logged_losses(group: ReplicateGroup) -> pd.DataFrame:
    """The scalars of metrics.csv in the form of the table `losses` with one replicate, for runs without records."""
    try:
        logged = pd.read_csv(group.run.path / "metrics.csv").groupby("epoch").last()
    except (OSError, KeyError, ValueError, pd.errors.ParserError):
        return pd.DataFrame()
    ending = f"/{group.label}" if group.label else ""
    scalars = {
        str(name): str(name).removesuffix(ending) for name in logged.select_dtypes("number") if name.endswith(ending)
    }
    names = {
        name: scalar.replace("/", "_")
        for name, scalar in scalars.items()
        if scalar.count("/") == 1 and not scalar.endswith("_std")
    }
    frame = logged[list(names)].rename(columns=names).reset_index()
    return frame.assign(replicate=0).astype({"epoch": int}) if names else pd.DataFrame()


def measures(frame: pd.DataFrame) -> list[str]:
    """The columns that hold a measure."""
    return [str(name) for name in frame if name not in KEYS]


def _curves(frame: pd.DataFrame) -> dict[str, Any]:
    if frame.empty:
        return {"epochs": packed([]), "columns": {}}
    names = measures(frame)
    finite = frame[names].where(np.isfinite(frame[names].astype(float)))
    by_epoch = finite.groupby(frame["epoch"])
    tables = {"mean": by_epoch.mean(), "low": by_epoch.min(), "high": by_epoch.max()}
    columns = {name: {which: packed(table[name]) for which, table in tables.items()} for name in names}
    return {"epochs": packed(tables["mean"].index), "columns": columns}
