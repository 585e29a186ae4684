"""The tables of several runs as one, with the curve of a figure that each group of replicates belongs to.

A run whose replicates differ in settings is drawn as if each `ReplicateGroup` were a run of its own.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsl.errors import InputError
from tsl.runs import ReplicateGroup, Run
from tsl.runs.settings import MULTIPLIER, POLARITY, RECORDING, SEEDS, differences, in_words, names_in_words

MOST_SPELLED_OUT = 2
"""The most differing settings that a legend writes out; if more settings differ, it names the run instead."""

DIVERGED = "diverged"
"""The column of the table `replicates` that tells replicates frozen after they diverged from the others."""


def groups_of(runs: Sequence[Run]) -> list[ReplicateGroup]:
    """The groups of all runs, in the order in which `collect` numbers them."""
    return [group for run in runs for group in run.groups]


def other_differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The settings other than multiplier, polarity and seeds in which runs differ.

    Args:
        runs: The runs that go into one figure.

    Returns:
        The value of each such setting in each run (None if a run does not have it), by its dotted name.
    """
    found = differences([run.settings for run in runs], (*RECORDING, *SEEDS))
    return {key: values for key, values in found.items() if key not in (MULTIPLIER, POLARITY)}


def collect(
    runs: Sequence[Run], table: str, arranged: Collection[str] = (), epochs: Collection[int] | None = None
) -> pd.DataFrame:
    """One table of several runs, with the columns by which figures arrange it.

    Args:
        runs: The runs.
        table: A key of `tsl.runs.records.COLUMNS`.
        arranged: The dotted names of settings that are shown by panels or axes instead of curves.
        epochs: The epochs to read besides the last of each run; all if None.

    Returns:
        All rows, and the columns `group` (index into `groups_of(runs)`), `seed`, `polarity` (NaN if the settings
        have none), and `curve`: an ordered category such as "2×". Groups of replicates share a curve if their
        multiplier and all other settings except those `arranged` agree.

    Raises:
        InputError: If there are no runs, or two runs hold the same replicate.
    """
    if not runs:
        raise InputError("there are no runs to draw")
    _, repeated = without_repeated(runs)
    if repeated:
        raise repeated[0]
    curves = _curves(groups_of(runs), arranged)
    frames: list[pd.DataFrame] = []
    for run in runs:
        recorded = run.recorded_epochs(table)
        rows = run.table(table, epochs if epochs is None else {*epochs, *recorded[-1:]})
        for group in run.groups:
            _, curve = curves[len(frames)]
            of_group = group.rows(rows)
            seeds = of_group["replicate"].map(group.seeds)
            frames.append(of_group.assign(group=len(frames), seed=seeds, polarity=_polarity(group), curve=curve))
    frame = pd.concat(frames, ignore_index=True)
    names = list(dict.fromkeys(name for _, name in sorted(curves)))
    frame["curve"] = pd.Categorical(frame["curve"], names, ordered=True)
    return frame


def without_repeated(runs: Sequence[Run]) -> tuple[list[Run], list[InputError]]:
    """The runs that can share one figure; of several runs with the same replicate, only the first is kept.

    Args:
        runs: Runs of any settings.

    Returns:
        The runs to draw, and for each other run the reason why it is left out.
    """
    curves = iter(_curves(groups_of(runs), ()))
    kept: list[Run] = []
    reasons = []
    holders: dict[tuple[Any, ...], Run] = {}
    for run in runs:
        found: dict[tuple[Any, ...], str] = {}
        for group in run.groups:
            settings, name = next(curves)
            found |= {(settings, seed): f"{name}, seed {seed}" for seed in group.seeds.values()}
        twice = next((replicate for replicate in found if replicate in holders), None)
        if twice is None:
            kept.append(run)
            holders |= dict.fromkeys(found, run)
        else:
            paths = f"{holders[twice].path} and {run.path}"
            reasons.append(InputError(f"{paths} have the same replicate ({found[twice]}): leave one of them out"))
    return kept, reasons


def seeds_in_words(frame: pd.DataFrame) -> str:
    """The number of seeds of each curve in words: "32 seeds", or "10 to 32 seeds" if they differ."""
    counts = frame.groupby(["curve", "polarity"], observed=True, dropna=False)["seed"].nunique()
    least, most = counts.min(), counts.max()
    return f"{most} seed{'s' if most > 1 else ''}" if least == most else f"{least} to {most} seeds"


def unfinished(runs: Sequence[Run], table: str) -> list[str]:
    """A note for each run whose records of a table end before its last planned epoch."""
    notes = []
    for run in runs:
        last, planned = max(run.recorded_epochs(table), default=0), run.planned_epochs
        if planned is not None and last < planned:
            notes.append(f"{run.name}: records end at epoch {last} of {planned}")
    return notes


def missing_epoch(runs: Sequence[Run], table: str, epoch: int) -> list[str]:
    """A note if runs' records of a table lack an epoch, with their number and the first three."""
    lacking = [run.name for run in runs if epoch not in run.recorded_epochs(table)]
    if not lacking:
        return []
    names = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
    return [f"epoch {epoch} is not in the records of {len(lacking)} of {len(runs)} runs ({names})"]


def _curves(groups: Sequence[ReplicateGroup], arranged: Collection[str]) -> list[tuple[tuple[Any, ...], str]]:
    """For each group, the key by which its curve is sorted, and the curve's name."""
    # Runs in which nothing diverged have no column `diverged`.
    settings = [group.settings | {DIVERGED: bool(group.settings.get(DIVERGED))} for group in groups]
    found = differences(settings, (*RECORDING, *SEEDS))
    found = _said_once({key: values for key, values in found.items() if key not in (MULTIPLIER, *arranged)})
    names = names_in_words(list(found))
    within = {key for group in groups for key in group.varying}
    between = [key for key in found if key not in within]
    spelled = [key for key in found if key in within or len(between) <= MOST_SPELLED_OUT]
    first_run: dict[tuple[Any, ...], Run] = {}
    curves: list[tuple[tuple[Any, ...], str]] = []
    for index, group in enumerate(groups):
        multiplier = group.settings.get(MULTIPLIER)
        of_group = [values[index] for values in found.values()]
        in_order = [(0, value, "") if isinstance(value, int | float) else (1, 0, str(value)) for value in of_group]
        order: tuple[Any, ...] = (0.0, *in_order)
        words = []
        if MULTIPLIER not in arranged:
            order = (0.0 if multiplier is None else _number(group, MULTIPLIER, multiplier), *in_order)
            words = ["student" if multiplier is None else f"{multiplier:g}×"]
        words += [_setting(key, names[key], found[key][index]) for key in spelled]
        if len(spelled) < len(found):
            words.append(first_run.setdefault(order, group.run).name)
        curves.append((order, ", ".join(filter(None, words))))
    return curves


def _said_once(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The differences without those that follow from other differences."""
    classes = {key.removesuffix(".class_path"): names for key, names in found.items() if key.endswith(".class_path")}
    # Different classes have different arguments, so the class is enough, unless runs of the same class differ too.
    found = {
        key: values
        for key, values in found.items()
        if not any(key.startswith(f"{of}.init_args.") and _follows(values, names) for of, names in classes.items())
    }
    # One of several settings that always change together, such as data.dim and teacher.input_dim, is enough.
    last = {str(values): key for key, values in found.items()}
    return {key: found[key] for key in last.values()}


def _follows(values: Sequence[Any], names: Sequence[Any]) -> bool:
    """Whether runs with the same name always have the same value."""
    return len(set(map(str, names))) == len(
        {(str(name), str(value)) for name, value in zip(names, values, strict=True)}
    )


def _setting(key: str, name: str, value: Any) -> str:
    """A setting in a legend: `lr = 0.1`, `TeacherAware` for a class, `no augmentation`, `diverged`, or nothing."""
    if key == DIVERGED:
        return name if value else ""
    if not key.endswith(".class_path"):
        return f"{name} = {in_words(value)}"
    return f"no {name}" if value is None else str(value).rsplit(".", 1)[-1]


def _polarity(group: ReplicateGroup) -> float:
    polarity = group.settings.get(POLARITY)
    if isinstance(polarity, list) and len(set(polarity)) == 1:  # a list that does not differ along the replicates
        (polarity,) = set(polarity)
    return np.nan if polarity is None else _number(group, POLARITY, polarity)


def _number(group: ReplicateGroup, key: str, value: Any) -> float:
    if not isinstance(value, int | float):
        raise InputError(f"{group.run.path}: {key} in config.yaml is {value!r}; expected a number")
    return float(value)
