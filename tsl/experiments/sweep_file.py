"""The content of a sweep file: `configs`, `axes` and `seeds`, as in `configs/sweeps/widths.yaml`."""

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tsl.configs import find_config
from tsl.errors import InputError
from tsl.runs.settings import in_words

KEYS = ("configs", "axes", "seeds")

SET_BY_THE_SWEEP = (
    *("experiment", "version", "ckpt_path", "seed_everything", "seeds", "paired_seeds", "replicates", "grid"),
    *("trainer.default_root_dir", "trainer.enable_progress_bar"),
)
"""Settings that say where a run is, which seeds it has, and how it is started."""

TOGETHER = {"dim": ("data.init_args.dim", "model.init_args.teacher.init_args.input_dim")}
"""Names of axes that stand for several settings, which have to be equal."""


@dataclass(frozen=True)
class Axis:
    """One axis of a sweep.

    Args:
        name: Its name in the sweep file.
        values: Values of a setting, or names of configs.
        settings: The dotted names of the settings that take the value; none if the values are configs.
        along_replicates: Whether the setting may differ along the replicates of one run.
    """

    name: str
    values: tuple[Any, ...]
    settings: tuple[str, ...]
    along_replicates: bool


@dataclass(frozen=True)
class SweepFile:
    """The content of a sweep file.

    Args:
        configs: Names of configs of tsl.fit; later ones override earlier ones.
        axes: The values of each axis.
        seeds: The number of seeds of each combination; the first seed is the config's seed_everything.
    """

    configs: tuple[str, ...]
    axes: Mapping[str, Sequence[Any]]
    seeds: int

    @property
    def combinations(self) -> int:
        """The number of combinations of the axes' values."""
        return math.prod(len(values) for values in self.axes.values())


def read_sweep_file(path: Path) -> SweepFile:
    """Read a sweep file.

    Raises:
        InputError: If it is missing, is not YAML, or has a wrong key or value; the message names the key.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise InputError(f"{path}: expected the keys {', '.join(KEYS)}")
    for key in said:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            meant = f"; did you mean {near[0]}?" if near else "."
            raise InputError(f"{path}: there is no key {key!r}{meant} A sweep file has {', '.join(KEYS)}")
    configs, axes, seeds = said.get("configs"), said.get("axes"), said.get("seeds", 1)
    configs = [configs] if isinstance(configs, str) else configs
    if not isinstance(configs, list) or not configs or not all(isinstance(name, str) for name in configs):
        raise InputError(f"{path}: configs = {configs}: expected names of configs, such as [two_layer.yaml]")
    if not isinstance(axes, dict) or not axes:
        raise InputError(f"{path}: axes = {axes}: expected settings, each with a list of values, as polarity: [0, 1]")
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: axes.{name} = {values}: expected a list of one or more values")
        repeated = [value for place, value in enumerate(values) if value in values[:place]]
        if repeated:
            raise InputError(f"{path}: axes.{name} lists {in_words(repeated[0])} twice; `seeds` repeats every value")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise InputError(f"{path}: seeds = {seeds}: expected a whole number, 1 or more")
    return SweepFile(tuple(configs), axes, seeds)


def find_axes(axes: Mapping[str, Sequence[Any]], settings: Mapping[str, Any], along: Sequence[str]) -> list[Axis]:
    """The settings that each axis of a sweep file stands for.

    An axis is named by a setting's dotted name, with or without the words init_args, or by its last words if only one
    setting ends with them. If its values are configs, it may have any name.

    Args:
        axes: The values of each axis.
        settings: The settings of the sweep's configs by their dotted names, defaults included.
        along: The names of settings that may differ along the replicates.

    Raises:
        InputError: If an axis names no setting, several settings, or a setting that another axis names too.
    """
    found: list[Axis] = []
    for name, values in axes.items():
        if all(isinstance(value, str) and value.endswith((".yaml", ".yml")) for value in values):
            for value in values:
                find_config(value)
            found.append(Axis(name, tuple(values), (), along_replicates=False))
            continue
        names = TOGETHER[name] if name in TOGETHER else (full_name(name, [*settings, *along]),)
        if own := [key for key in names if key in SET_BY_THE_SWEEP]:
            raise InputError(
                f"axes.{name}: {own[0]} cannot vary, because the sweep sets it; `seeds` repeats every value"
            )
        for other, key in itertools.product(found, names):
            if key in other.settings:
                raise InputError(f"axes.{name} and axes.{other.name} both name {key}: leave one of them out")
        found.append(Axis(name, tuple(values), names, along_replicates=all(key in along for key in names)))
    return found


def full_name(name: str, keys: Sequence[str]) -> str:
    """The dotted name of the setting that an axis names.

    >>> full_name("teacher.input_dim", ["model.init_args.teacher.init_args.input_dim", "data.init_args.dim"])
    'model.init_args.teacher.init_args.input_dim'

    Raises:
        InputError: If it names none, or more than one.
    """
    words = _words(name)
    fitting = sorted({key for key in keys if _words(key)[-len(words) :] == words})
    exact = [key for key in fitting if _words(key) == words]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        raise InputError(f"axes.{name} may be {' or '.join(fitting)}: write one of these names in full")
    last = {_words(key)[-1]: key for key in keys}
    near = difflib.get_close_matches(words[-1], last, n=3, cutoff=0.5)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"axes.{name}: no setting of these configs has that name{meant}")


def _words(name: str) -> list[str]:
    return [word for word in name.split(".") if word != "init_args"]
