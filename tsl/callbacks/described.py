"""The settings of live objects in the form of config.yaml, for runs that were started in Python."""

import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tsl.data import DataModule
from tsl.modules.steps import StepModule
from tsl.replicates import replicate_seeds

UNKNOWN = "(unknown: started in Python, and not kept under the argument's name)"
"""The text in place of a setting that cannot be read from the live object."""

OF_TRAINER = (
    *("max_epochs", "max_steps", "precision", "default_root_dir", "fast_dev_run"),
    *("check_val_every_n_epoch", "accumulate_grad_batches", "gradient_clip_val", "overfit_batches"),
)
"""Settings that the Trainer keeps as they were given."""


def described_run(trainer: pl.Trainer, module: StepModule, data: DataModule) -> dict[str, Any]:
    """The nested settings of a run, in the form that `tsl.fit` writes.

    Args:
        trainer: Its Trainer, whose log_dir is `<root>/<experiment>/<version>`.
        module: The module that is trained.
        data: The data that it is trained on.
    """
    directory = Path(str(trainer.log_dir))
    model, inputs = described(module), described(data)
    linked: dict[str, Any] = {"replicates": module.replicates}  # config.yaml has them once, for model and data
    if isinstance(module.seed, int):
        linked["seed"] = module.seed
    for key, value in linked.items():
        del model["init_args"][key]
        if inputs["init_args"].get(key) == value:
            del inputs["init_args"][key]
    return {
        "seed_everything": replicate_seeds(module.seed, module.replicates)[0],
        "trainer": {name: described(getattr(trainer, name)) for name in OF_TRAINER}
        | {"max_steps": module.max_steps or trainer.max_steps},
        "model": model,
        "data": inputs,
        "experiment": directory.parent.name,
        "version": directory.name,
        "replicates": module.replicates,
    }


def described(value: Any) -> Any:
    """A value as plain settings.

    Functions and classes are named by import path. A partial of a class, and an object, become their class_path with
    their init_args: an object's are read from its attributes `make_<argument>` or `<argument>`. A value without such a
    form becomes the text `UNKNOWN`.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, Mapping):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, partial) and not value.args:
        return _with_arguments(value.func, value.keywords, partial_of=True)
    if inspect.isclass(value) or inspect.isroutine(value):
        path = import_path(value)
        return UNKNOWN if path is None else path
    kept = {name: _kept(value, name) for name in arguments(type(value))}
    return _with_arguments(next(each for each in type(value).__mro__ if import_path(each)), kept)


def arguments(maker: Any) -> dict[str, inspect.Parameter]:
    """The named arguments of a function or of a class's constructor, including those that go to its base class."""
    if not inspect.isclass(maker):
        return _named(inspect.signature(maker).parameters)
    found: dict[str, inspect.Parameter] = {}
    for each in maker.__mro__[:-1]:
        if "__init__" not in vars(each):
            continue
        parameters = inspect.signature(vars(each)["__init__"]).parameters
        found = _named(parameters) | found
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return found


def import_path(thing: Any) -> str | None:
    """The shortest dotted name by which a class or function is imported; None if there is none, as for a lambda."""
    name, words = getattr(thing, "__qualname__", ""), str(getattr(thing, "__module__", "")).split(".")
    for length in range(1, len(words) + 1):
        module = ".".join(words[:length])
        try:
            if getattr(import_module(module), name, None) is thing:
                return f"{module}.{name}"
        except (ImportError, ValueError):
            continue
    return None


def _with_arguments(maker: Any, given: Mapping[str, Any], partial_of: bool = False) -> Any:
    """A class with the given arguments and the defaults of others; a partial's first argument is left to its caller."""
    path = import_path(maker)
    if path is None:
        return UNKNOWN
    named = arguments(maker)
    if partial_of:
        named = {name: each for position, (name, each) in enumerate(named.items()) if position or name in given}
    values = {name: given.get(name, parameter.default) for name, parameter in named.items()}
    init_args = {name: described(value) for name, value in values.items() if value is not inspect.Parameter.empty}
    return {"class_path": path, "init_args": init_args}


def _kept(thing: Any, name: str) -> Any:
    values = vars(thing)
    return values.get(f"make_{name}", values.get(name, UNKNOWN))


def _named(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    unnamed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: each for name, each in parameters.items() if name != "self" and each.kind not in unnamed}
