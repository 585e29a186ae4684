"""From the cells of a sweep to the runs that train them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tsl.data.budget import budget_epochs
from tsl.experiments.planned_run import PlannedRun, check_settings, resolved_config
from tsl.runs.settings import flatten, in_words


@dataclass(frozen=True)
class Cell:
    """One combination of a sweep's values.

    Args:
        values: The value of each axis, as it stands in the run's name and in tables.
        configs: The configs of tsl.fit for its run; later ones override earlier ones.
        settings: Settings by their dotted names, which override the configs.
    """

    values: Mapping[str, float | str]
    configs: Sequence[Path]
    settings: Mapping[str, Any]


def plan_runs(cells: Sequence[Cell], directory: Path) -> list[PlannedRun]:
    """The run of each cell, `<directory>/<cell's name>`.

    Raises:
        InputError: If a run with other settings already exists.
    """
    resolved: dict[tuple[Path, ...], dict[str, Any]] = {}
    for cell in cells:
        if (configs := tuple(cell.configs)) not in resolved:
            resolved[configs] = flatten(resolved_config(config_arguments(configs, directory)))
    runs = [plan_run(cell, resolved[tuple(cell.configs)], directory) for cell in cells]
    check_settings(runs, {config for configs in resolved for config in configs})
    return runs


def plan_run(cell: Cell, resolved: Mapping[str, Any], directory: Path) -> PlannedRun:
    """The run of one cell.

    Args:
        cell: The cell.
        resolved: All settings that its configs give, by their dotted names.
        directory: The directory of the sweep's runs.
    """
    settings = {**resolved, **flatten(dict(cell.settings))}
    if settings["total_samples"] is not None:
        data = {key.removeprefix("data.init_args."): value for key, value in settings.items()}
        settings["trainer.max_epochs"] = budget_epochs(settings["total_samples"], data)
    name = cell_name(cell.values)
    arguments = ["tsl.fit", *config_arguments(cell.configs, directory), "--version", name]
    arguments += ["--trainer.enable_progress_bar", "false"]
    arguments += [word for key, value in cell.settings.items() for word in (f"--{key}", as_argument(value))]
    return PlannedRun(cell.values, directory / name, arguments, settings)


def config_arguments(configs: Sequence[Path], directory: Path) -> list[str]:
    """The arguments of tsl.fit that combine configs, later over earlier ones, and write into a sweep's directory."""
    words = [word for config in configs for word in ("--config", str(config))]
    return [*words, "--trainer.default_root_dir", str(directory.parent), "--experiment", directory.name]


def cell_name(values: Mapping[str, float | str]) -> str:
    """The name of a cell and its run: `multiplier=2,polarity=1`; "all" if there is only one."""
    return ",".join(f"{axis}={in_words(value)}" for axis, value in sorted(values.items())) or "all"


def as_argument(value: Any) -> str:
    """A setting's value as a word of the command line."""
    words = in_words(value) if isinstance(value, float) else yaml.safe_dump(value, default_flow_style=True, width=9**9)
    return words.removesuffix("...\n").strip()
