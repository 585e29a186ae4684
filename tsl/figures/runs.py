"""Runs as figures see them: settings, one table, and what sets one run apart from another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsl.errors import InputError
from tsl.runs.records import read_config, read_table

MULTIPLIER = "model.init_args.student.init_args.multiplier"
POLARITY = "model.init_args.teacher_initialization.init_args.polarity"
TRAIN_SIZE = "data.init_args.train_size"

SEEDS = frozenset({"seed_everything", "replicates"})

OTHER_GROUPS = ("trainer.logger", "trainer.enable_", "records.", "checkpoint.")
OTHER_WORDS = {
    *SEEDS,
    *("seed", "experiment", "version"),
    *("default_root_dir", "ckpt_path", "dirpath", "save_dir", "weights_only"),
    *("accelerator", "devices", "chunk_size", "eval_batch_size", "evaluate_train"),
}
"""First and last words of the settings in which two runs of the same experiment may differ."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run and the table of it that a figure draws."""

    path: Path
    config: dict[str, Any]
    table: pd.DataFrame

    @property
    def seed(self) -> int:
        """The seed of replicate 0."""
        return int(_number(self, "seed_everything", self.config.get("seed_everything", 0)))


def read_run(path: Path | str, table: str) -> Run:
    """Read a run's configuration and one of its tables; raises what `read_config` and `read_table` raise."""
    return Run(Path(path), read_config(path), read_table(path, table))


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a nested configuration by their dotted names.

    >>> flatten({"model": {"init_args": {"widths": [20, 30]}}, "trainer": {"callbacks": [{"class_path": "A"}]}})
    {'model.init_args.widths': [20, 30], 'trainer.callbacks.0.class_path': 'A'}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": setting for inner, setting in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def setting_differences(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The settings in which runs differ, besides where they are, how fast they run, and what is recorded.

    Args:
        configs: The runs' configurations.

    Returns:
        For each such setting, by its dotted name, its value in each run (None where a run does not have it).
    """
    flats = [flatten(config) for config in configs]
    for flat in flats:
        if flat.get("total_samples") is not None:
            flat.pop("trainer.max_epochs", None)  # what makes up the same budget
    found = {}
    for key in sorted(set().union(*flats)):
        values = [flat.get(key) for flat in flats]
        expected = key.startswith(OTHER_GROUPS) or key.rsplit(".", 1)[-1] in OTHER_WORDS - SEEDS
        if not expected and any(value != values[0] for value in values):
            found[key] = values
    return found


def other_differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Those `setting_differences` that are not multiplier, polarity or seeds.

    Args:
        runs: The runs that go into one figure.

    Returns:
        For each such setting, by its dotted name, its value in each run (None where a run does not have it).
    """
    found = setting_differences([run.config for run in runs])
    return {key: values for key, values in found.items() if key not in {MULTIPLIER, POLARITY, *SEEDS}}


def collect(runs: Sequence[Run], arranged: Sequence[str] = ()) -> pd.DataFrame:
    """The tables of several runs as one, with the columns by which figures arrange them.

    Args:
        runs: The runs, all with the same table.
        arranged: Further settings that the figure arranges by itself, by their dotted names; curves pool over them.

    Returns:
        All rows, and the columns `run` (index into `runs`), `seed`, `polarity` (NaN where the settings have none),
        `place` (the values of the settings `arranged`) and `curve`: an ordered category such as "2×" that runs share
        if their multiplier and all other settings agree.

    Raises:
        InputError: If there are no runs, or two runs hold the same replicate.
    """
    if not runs:
        raise InputError("there are no runs to draw")
    curves = _curves(runs, arranged)
    frames = []
    for index, run in enumerate(runs):
        place = str([flatten(run.config).get(key) for key in arranged])
        columns = {"run": index, "seed": run.seed + run.table["replicate"], "polarity": _polarity(run), "place": place}
        frames.append(run.table.assign(**columns, curve=curves[index][1]))
    frame = pd.concat(frames, ignore_index=True)
    names = list(dict.fromkeys(name for _, name in sorted(curves)))
    frame["curve"] = pd.Categorical(frame["curve"], names, ordered=True)
    _check_replicates_differ(runs, frame)
    return frame


def without_repeated(runs: Sequence[Run]) -> tuple[list[Run], list[InputError]]:
    """The runs that go into one figure together: of those that hold the same replicate, the first.

    Args:
        runs: Runs with the same table.

    Returns:
        The runs that stay, and for each other one why it does not.
    """
    kept: list[Run] = []
    reasons = []
    replicates = [replace(run, table=run.table[["replicate"]].drop_duplicates()) for run in runs]
    for index in range(len(runs)):
        try:
            collect([replicates[earlier] for earlier in (*map(runs.index, kept), index)])
            kept.append(runs[index])
        except InputError as error:
            reasons.append(error)
    return kept, reasons


def seeds_in_words(frame: pd.DataFrame) -> str:
    """How many seeds the curves of a figure stand for: "32 seeds", or "10 to 32 seeds" if they differ."""
    counts = frame.groupby(["curve", "polarity"], observed=True, dropna=False)["seed"].nunique()
    least, most = counts.min(), counts.max()
    return f"{most} seed{'s' if most > 1 else ''}" if least == most else f"{least} to {most} seeds"


def unfinished(runs: Sequence[Run]) -> list[str]:
    """A note for each run whose records end before its last epoch."""
    notes = []
    for run in runs:
        last, planned = int(run.table["epoch"].max()), flatten(run.config).get("trainer.max_epochs")
        if isinstance(planned, int) and last < planned:
            notes.append(f"{run_name(run)}: records end at epoch {last} of {planned}")
    return notes


def missing_epoch(runs: Sequence[Run], epoch: int) -> list[str]:
    """A note for each run whose records lack an epoch."""
    lacking = [run for run in runs if not (run.table["epoch"] == epoch).any()]
    return [f"{run_name(run)}: epoch {epoch} is not in the records" for run in lacking]


def run_name(run: Run) -> str:
    """The last two parts of a run's path, `<experiment>/<version>`."""
    return "/".join(run.path.absolute().parts[-2:])


def _curves(runs: Sequence[Run], arranged: Sequence[str]) -> list[tuple[tuple[Any, ...], str]]:
    """For each run what to sort its curve by, and the curve's name."""
    differences = {key: values for key, values in other_differences(runs).items() if key not in arranged}
    classes = {
        key.removesuffix(".class_path"): names for key, names in differences.items() if key.endswith(".class_path")
    }
    # Classes that differ have other arguments: the class says it, unless runs of the same class differ in them too.
    differences = {
        key: values
        for key, values in differences.items()
        if not any(key.startswith(f"{of}.init_args.") and _follows(values, names) for of, names in classes.items())
    }
    # Settings that go together, such as data.dim and teacher.input_dim, need saying once.
    last = {str(values): key for key, values in differences.items()}
    differences = {key: differences[key] for key in last.values()}
    first_run: dict[tuple[Any, ...], Run] = {}
    curves: list[tuple[tuple[Any, ...], str]] = []
    for index, run in enumerate(runs):
        multiplier = flatten(run.config).get(MULTIPLIER)
        others = [_setting(key, values[index]) for key, values in differences.items()]
        named = multiplier is not None and MULTIPLIER not in arranged
        of_run = [values[index] for values in differences.values()]
        in_order = [(0, value, "") if isinstance(value, int | float) else (1, 0, str(value)) for value in of_run]
        order = (_number(run, MULTIPLIER, multiplier) if named else 0.0, *in_order)
        words = ["student" if multiplier is None else f"{multiplier:g}×"] if MULTIPLIER not in arranged else []
        # More than two are too many to spell out in a legend.
        words += others if len(others) <= 2 else [run_name(first_run.setdefault(order, run))]
        curves.append((order, ", ".join(words)))
    return curves


def _follows(values: Sequence[Any], names: Sequence[Any]) -> bool:
    """Whether runs that agree in their name agree in their value."""
    return len(set(map(str, names))) == len(
        {(str(name), str(value)) for name, value in zip(names, values, strict=True)}
    )


def _setting(key: str, value: Any) -> str:
    """A setting in a legend: `optimizer.lr = 0.1`, `TeacherAware` for a class, `no augmentation` for none."""
    words = [word for word in key.split(".") if word not in ("init_args", "class_path")]
    if not key.endswith(".class_path"):
        return f"{'.'.join(words[-2:])} = {value}"
    return f"no {words[-1]}" if value is None else str(value).rsplit(".", 1)[-1]


def _polarity(run: Run) -> Any:
    """The polarity of each row."""
    polarity = flatten(run.config).get(POLARITY)
    if not isinstance(polarity, list):
        return np.nan if polarity is None else _number(run, POLARITY, polarity)
    values = np.array([_number(run, POLARITY, value) for value in polarity])
    return values[run.table["replicate"].to_numpy() % len(values)]


def _number(run: Run, key: str, value: Any) -> float:
    if not isinstance(value, int | float):
        raise InputError(f"{run.path}: {key} in config.yaml is {value!r}; expected a number")
    return float(value)


def _check_replicates_differ(runs: Sequence[Run], frame: pd.DataFrame) -> None:
    replicate = ["curve", "polarity", "place", "seed"]
    first = frame.drop_duplicates([*replicate, "run"])
    twice = first[first.duplicated(replicate, keep=False)]
    if len(twice):
        row = twice.iloc[0]
        same = twice[(twice[["curve", "place", "seed"]] == row[["curve", "place", "seed"]]).all(axis=1)]
        paths = " and ".join(str(runs[index].path) for index in same["run"].iloc[:2])
        raise InputError(f"{paths} hold the same replicate ({row['curve']}, seed {row['seed']}): leave one of them out")
