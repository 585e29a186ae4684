"""Settings that may differ between replicates: how a list repeats along them, and which value each of them has."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from tsl.errors import InputError

T = TypeVar("T")

ALONG_REPLICATES = "may differ along the replicates"

PerReplicate = Annotated[T | list[T], ALONG_REPLICATES]
"""The type of a constructor's argument that is one value for all replicates, or a list that repeats along them.

A class keeps such an argument under its own name. Where the values of a run differ, the table `replicates` has a column
for them, whatever class they belong to:

>>> class Spikes:
...     def __init__(self, rate: PerReplicate[float]) -> None:
...         self.rate = rate
>>> of_replicate(Spikes([0.1, 0.2]), replicate=3, replicates=4).rate
0.2
"""


MOST_SETTINGS = 16
"""The maximum number of settings that are logged and printed one by one; a longer list is too long to read."""


def per_replicate(value: T | Sequence[T], replicates: int, key: str) -> list[T]:
    """One value for each replicate, from one for all or from a list that repeats along the replicates.

    Args:
        value: A value, or a list of them: replicate r has value[r % len(value)].
        replicates: Number R of replicates.
        key: The setting's name, for the message.

    Raises:
        InputError: If the number of replicates is not a multiple of a list's length.
    """
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not values or replicates % len(values):
        raise InputError(
            f"{key} lists {len(values)} values for {replicates} replicates: give one value, or a list whose length "
            "divides the number of replicates"
        )
    return values * (replicates // len(values))


def replicate_seeds(seed: int | Sequence[int], replicates: int) -> list[int]:
    """The seed of each replicate.

    Args:
        seed: The seed of replicate 0, where replicate r has seed + r; or a list that repeats along the replicates.
        replicates: Number R of replicates.

    Raises:
        InputError: If the number of replicates is not a multiple of a list's length.
    """
    return [seed + r for r in range(replicates)] if isinstance(seed, int) else per_replicate(seed, replicates, "seed")


def of_replicate(thing: T, replicate: int, replicates: int) -> T:
    """An object as one replicate has it: a copy with single values in place of lists along the replicates."""
    lists = {name: getattr(thing, name, None) for name in _along_replicates(type(thing))}
    lists = {name: values for name, values in lists.items() if isinstance(values, list)}
    if not lists:
        return thing
    alone = copy.copy(thing)
    for name, values in lists.items():
        setattr(alone, name, per_replicate(values, replicates, f"{type(thing).__name__}.{name}")[replicate])
    return alone


def settings_along_replicates(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that may differ along the replicates, by their dotted names.

    Args:
        config: The nested settings of a run, in which class_path names the classes.
    """
    found: dict[str, Any] = {}

    def visit(node: Any, name: str) -> None:
        if isinstance(node, list):
            node = {str(index): item for index, item in enumerate(node)}
        if not isinstance(node, Mapping):
            return
        arguments = node.get("init_args")
        if isinstance(arguments, Mapping):
            names = _along_replicates(_imported(node.get("class_path")))
            found.update({f"{name}.init_args.{each}": arguments[each] for each in names if each in arguments})
        for key, value in node.items():
            visit(value, f"{name}.{key}" if name else str(key))

    visit(config, "")
    return found


def differing_settings(config: Mapping[str, Any], replicates: int) -> dict[str, list[Any]]:
    """The settings that differ along the replicates.

    Args:
        config: The nested settings of a run, in which class_path names the classes.
        replicates: Number R of replicates.

    Returns:
        The value in each replicate, by the setting's dotted name.

    Raises:
        InputError: If the number of replicates is not a multiple of a list's length.
    """
    said = settings_along_replicates(config).items()
    lists = {key: per_replicate(value, replicates, key) for key, value in said if isinstance(value, list)}
    return {key: values for key, values in lists.items() if any(value != values[0] for value in values)}


def _imported(class_path: Any) -> Any:
    module, _, name = str(class_path).rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None  # jsonargparse refuses such a class_path itself


def _along_replicates(maker: Any) -> list[str]:
    """The arguments of a class or function that may be lists along the replicates."""
    try:
        hints = get_type_hints(maker.__init__ if inspect.isclass(maker) else maker, include_extras=True)
    except (TypeError, NameError, AttributeError):  # no hints, or hints that only type checkers can read
        return []
    return [name for name, hint in hints.items() if any(_is_marked(each) for each in (hint, *get_args(hint)))]


def _is_marked(hint: Any) -> bool:
    return ALONG_REPLICATES in getattr(hint, "__metadata__", ())
