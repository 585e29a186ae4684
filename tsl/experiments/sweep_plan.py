"""Divide a sweep into cells, of which each is trained by one run."""

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tsl.configs import find_config
from tsl.experiments.cells import Cell, as_argument, config_arguments, plan_run
from tsl.experiments.cost import core_seconds, memory
from tsl.experiments.planned_run import resolved_config
from tsl.experiments.sweep_file import Axis, SweepFile, find_axes
from tsl.replicates import settings_along_replicates
from tsl.runs.settings import TRAIN_SIZE, flatten, in_words

Grid = dict[str, list[Any]]

LONGEST_RUN = 1800.0
"""The most seconds of one core for a run whose grid can be split, so that all cores have work."""

SHARE_OF_MEMORY = 0.8
"""The share of this machine's memory that all runs at a time may take together."""


def plan_sweep(sweep: SweepFile, directory: Path, workers: int) -> list[Cell]:
    """The cells of a sweep, each of which is trained by one run.

    Args:
        sweep: The content of its file.
        directory: The directory of its runs.
        workers: The number of runs at a time, which share the memory.

    Raises:
        InputError: If an axis is not a setting of the configs.
        SystemExit: If tsl.fit refuses a value; it has printed the reason.
    """
    configs = [find_config(name) for name in sweep.configs]
    config = resolved_config(config_arguments(configs, directory))
    settings, along = flatten(config), settings_along_replicates(config)
    axes = find_axes(sweep.axes, settings, list(along))
    inside = [axis for axis in axes if axis.along_replicates and can_share_a_run(axis, settings)]
    across = [axis for axis in axes if axis not in inside]
    check_values(axes, configs, directory)
    most = SHARE_OF_MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / workers
    cells = []
    for values in itertools.product(*(axis.values for axis in across)):
        chosen = dict(zip(across, values, strict=True))
        overlays = [find_config(value) for axis, value in chosen.items() if not axis.settings]
        named = {axis.name: short(value) for axis, value in chosen.items()}
        changed = {key: value for axis, value in chosen.items() for key in axis.settings}

        def cell_of(grid: Grid, named: Any = named, overlays: Any = overlays, changed: Any = changed) -> Cell:
            part = {axis.name: range_of(grid[axis.settings[0]]) for axis in inside if is_part(axis, grid)}
            replicates = sweep.seeds * math.prod(len(values) for values in grid.values())
            inside_run = ({"grid": grid} if grid else {}) | {"seeds": sweep.seeds, "replicates": replicates}
            return Cell(named | part, [*configs, *overlays], changed | inside_run)

        def fits(grid: Grid, cell_of: Callable[[Grid], Cell] = cell_of) -> bool:
            run = plan_run(cell_of(grid), settings, directory)
            return memory(run) <= most and (core_seconds(run) or 0) <= LONGEST_RUN

        cells += [cell_of(part) for part in split({axis.settings[0]: list(axis.values) for axis in inside}, fits)]
    return cells


def can_share_a_run(axis: Axis, settings: Mapping[str, Any]) -> bool:
    """Whether one run can have all values of an axis; training sizes can if they all take the same number of steps."""
    return axis.settings != (TRAIN_SIZE,) or settings.get("data.init_args.steps_per_epoch") is not None


def is_part(axis: Axis, grid: Grid) -> bool:
    """Whether a grid has only some of an axis's values, which the run's name then contains."""
    return len(grid[axis.settings[0]]) < len(axis.values)


def split(grid: Grid, fits: Callable[[Grid], bool]) -> list[Grid]:
    """Split a grid into parts that fit, by halving it along its longest axis as often as needed.

    A single combination is not split further, whether it fits or not.

    >>> split({"a": [1, 2, 3]}, lambda part: len(part["a"]) < 3)
    [{'a': [1, 2]}, {'a': [3]}]
    """
    longest = max(grid, key=lambda name: len(grid[name]), default=None)
    if longest is None or len(grid[longest]) == 1 or fits(grid):
        return [grid]
    values = grid[longest]
    half = (len(values) + 1) // 2
    return [part for piece in (values[:half], values[half:]) for part in split({**grid, longest: piece}, fits)]


def range_of(values: Sequence[Any]) -> str:
    """The values of a part of a grid for a run's name: "0.5", or the first and the last, "0.5..1"."""
    return "..".join(dict.fromkeys(short(value) for value in (values[0], values[-1])))


def short(value: Any) -> str:
    """A value for the name of a run, without folders, suffixes of configs and characters that a name cannot have."""
    words = in_words(value)
    if isinstance(value, str):
        words = Path(value).stem if value.endswith((".yaml", ".yml")) else value.rsplit("/", 1)[-1]
    return "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in words)


def check_values(axes: Sequence[Axis], configs: Sequence[Path], directory: Path) -> None:
    """Let tsl.fit read every value of every axis once, so that it refuses a wrong one before anything is trained."""
    common = config_arguments(configs, directory)
    for axis in axes:
        for value in axis.values:
            if axis.settings:
                given = [value] if axis.along_replicates else value
                resolved_config(
                    [*common, *(word for key in axis.settings for word in (f"--{key}", as_argument(given)))]
                )
            else:
                resolved_config([*common, "--config", str(find_config(value))])
