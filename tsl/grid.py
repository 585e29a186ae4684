"""A grid of settings along the replicates of one run: which replicate has which setting and which seed.

Letters: G combinations of the grid's values, S seeds, R = G · S replicates. Replicate r has combination r // S. Nothing
here imports torch.
"""

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

from tsl.errors import InputError
from tsl.replicates import settings_along_replicates

TRAIN_SIZE = "data.init_args.train_size"
OPTIMIZER = "model.init_args.optimizer.init_args."

Grid = Mapping[str, Sequence[Any]]

GRID = frozenset({"grid", "seeds", "paired_seeds"})
"""The settings that say what a run's replicates are, beside `replicates` and `seed_everything`."""


def with_full_names(grid: Grid, config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A grid whose axes have the full dotted names of settings.

    Args:
        grid: The values of each axis, by its name: a setting's dotted name, with or without the words init_args, or
            its last words, if only one setting that may differ along the replicates ends with them.
        config: The nested settings of the run, defaults included.

    Raises:
        InputError: If an axis has no values or a value twice, is not a setting that may differ along the replicates,
            is ambiguous, or occurs twice; or if data.init_args.steps_per_epoch has to be set.
    """
    found: dict[str, list[Any]] = {}
    for name, values in grid.items():
        if not values:
            raise InputError(f"grid.{name} has no values: list at least one, or leave it out")
        repeated = [value for place, value in enumerate(values) if value in values[:place]]
        if repeated:
            raise InputError(f"grid.{name} lists {repeated[0]} twice: list every value once; `seeds` repeats them all")
        key = _full_name(name, config)
        if key in found:
            raise InputError(f"grid.{name}: the grid has two axes for {key}: leave one of them out")
        found[key] = list(values)
    data = (config.get("data") or {}).get("init_args") or {}
    if len(found.get(TRAIN_SIZE, [])) > 1 and data.get("steps_per_epoch") is None:
        raise InputError(
            "grid.train_size: all replicates of a run take the same number of steps in an epoch, but replicates with "
            "more inputs would take more: set data.init_args.steps_per_epoch"
        )
    return found


def count_replicates(grid: Grid, seeds: int | None, replicates: int) -> int:
    """The number R of replicates: G · S if there is a grid or a number of seeds, or else the setting `replicates`.

    Args:
        grid: As in `expanded`; empty if there is none.
        seeds: Number S of seeds; None means 1 with a grid, and as many as the replicates without a grid.
        replicates: The setting `replicates`.
    """
    if not grid and seeds is None:
        return replicates
    return math.prod(len(values) for values in grid.values()) * (seeds or 1)


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings in which some settings, given by their dotted names, have other values."""
    settings = deepcopy(dict(config))
    for name, value in values.items():
        set_value(settings, name, deepcopy(value))  # parsing changes lists in place
    return settings


def set_value(settings: Any, name: str, value: Any) -> None:
    """Set one of nested settings (a mapping or a Namespace) by its dotted name; numbers in it are indices of lists."""
    *parents, last = name.split(".")
    for word in parents:
        settings = settings[int(word) if isinstance(settings, list) else word]
    settings[last] = value


def lists_along_replicates(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of each axis of a run's grid: a list of length R, or a single value if the axis has only one.

    Args:
        config: Nested settings; `grid`, if there is one, has full names (`with_full_names`). The order of its axes
            does not matter.
    """
    grid, seeds = config.get("grid") or {}, config.get("seeds") or 1
    names = sorted(grid)
    combinations = list(itertools.product(*(grid[name] for name in names)))
    lists = {name: [each[place] for each in combinations for _ in range(seeds)] for place, name in enumerate(names)}
    return {name: values if len(grid[name]) > 1 else values[0] for name, values in lists.items()}


def expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """The nested settings of a run, in which the settings of its grid are lists along the replicates."""
    return with_values(config, lists_along_replicates(config))


def seeds_of_run(config: Mapping[str, Any], group: Literal["model", "data"] = "model") -> int | list[int]:
    """The argument `seed` of a run's model or data (`tsl.replicates.replicate_seeds`), from its nested settings."""
    arguments = (config.get(group) or {}).get("init_args") or {}
    first: int = config.get("seed_everything", 0)
    if "seed" in arguments:  # the run was started in Python
        return arguments["seed"]
    if config.get("grid") and config.get("paired_seeds") is not False:
        return [first + number for number in range(config.get("seeds") or 1)]
    return first


def lay_out(groups: Any, config: Mapping[str, Any]) -> None:
    """Write a run's lists along the replicates and its seeds into the parsed settings of its model and data.

    The parser is not used for this, because its time grows as the square of a list's length.

    Args:
        groups: The Namespaces of `model` and `data`, or only one of them.
        config: The nested settings of the run.
    """
    for name, value in lists_along_replicates(config).items():
        if name.split(".")[0] in groups:
            set_value(groups, name, value)
    for group in ("model", "data"):
        if group in groups:
            groups[group].init_args.seed = seeds_of_run(config, group)


def _full_name(name: str, config: Mapping[str, Any]) -> str:
    may_differ = list(settings_along_replicates(config))
    words = _words(name)
    fitting = [key for key in may_differ if _words(key)[-len(words) :] == words]
    exact = [key for key in fitting if _words(key) == words]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        raise InputError(f"grid.{name} may be {' or '.join(fitting)}: write one of these names in full")
    everything = _all_names(config)
    others = [key for key in everything if _words(key)[-len(words) :] == words]
    if others:
        remedy = "sweep it with tsl sweep"
        if any(key.startswith(OPTIMIZER) for key in others) and words[-1] == "lr":
            remedy += ", or take tsl.modules.SGD, which has a learning rate for each replicate"
        raise InputError(
            f"grid.{name}: {others[0]} cannot differ along the replicates of one run, because it changes a shape or "
            f"all replicates share it: {remedy}"
        )
    short = {_words(key)[-1]: key for key in may_differ}
    near = difflib.get_close_matches(words[-1], short, n=3, cutoff=0.6) or sorted(short)
    raise InputError(
        f"grid.{name}: no setting of this run has that name; did you mean {', '.join(near)}? A grid takes settings "
        "that may differ along the replicates; for all others use tsl sweep"
    )


def _words(name: str) -> list[str]:
    return [word for word in name.split(".") if word != "init_args"]


def _all_names(config: Any, name: str = "") -> list[str]:
    """The dotted names of all settings, including those that have settings of their own."""
    if isinstance(config, list):
        config = {str(index): item for index, item in enumerate(config)} if config and config[0] is not None else {}
    if not isinstance(config, Mapping):
        return [name]
    inner = [each for key, value in config.items() for each in _all_names(value, f"{name}.{key}" if name else str(key))]
    return [*filter(None, [name]), *inner]
