"""The settings of tsl's own classes, by their names on the command line, and the names nearest to a wrong one."""

import difflib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

ROOMS = ("tsl.modules", "tsl.data", "tsl.networks")
"""The packages with the classes that configs name."""

BASES = {"model": LightningModule, "data": LightningDataModule}

FILLED_IN = ("replicates", "seed", "params")
"""Arguments that no config sets, because tsl.fit and torch set them."""

DEEPEST = 2
"""How many levels of classes inside classes a suggested setting may have above it."""

NEAREST = 4
"""The maximum number of suggested names."""


class Setting(NamedTuple):
    """A setting of one class.

    Attributes:
        name: Its name on the command line, such as "model.student.multiplier".
        owner: The class that has it as an argument.
        default: Its value if none is given; `inspect.Parameter.empty` if it has to be given.
    """

    name: str
    owner: type
    default: Any


@cache
def class_paths() -> dict[type, str]:
    """The classes that the packages `ROOMS` export, and the class_path of each in a config."""
    found: dict[type, str] = {}
    for room in ROOMS:
        offered = import_module(room)
        found |= {getattr(offered, name): f"{room}.{name}" for name in offered.__all__ if name[0].isupper()}
    # Pretrained is abstract, but makes networks of another class.
    return {
        each: path
        for each, path in found.items()
        if inspect.isclass(each) and (not inspect.isabstract(each) or "__new__" in vars(each))
    }


def classes_at(name: str) -> list[type]:
    """The classes of tsl that a setting may name, such as all students for "model.student"; empty if there are none."""
    first, *inner = [word for word in name.split(".") if word != "init_args"]
    allowed = [BASES[first]] if first in BASES else []
    for word in inner:
        hints = [_hints(owner).get(word) for each in allowed for owner in _subclasses(each)]
        allowed = list(dict.fromkeys(each for hint in hints for each in _classes_in(hint)))
    return list(dict.fromkeys(each for base in allowed for each in _subclasses(base)))


def all_settings() -> Iterator[Setting]:
    """Every setting of the classes that `model` and `data` may name, and of the classes inside those."""
    for name in BASES:
        yield from _settings_below(name, classes_at(name))


def class_path(named: type) -> str:
    """The class_path by which a config names a class."""
    module = "torch.optim" if named.__module__.startswith("torch.optim.") else named.__module__
    return class_paths().get(named, f"{module}.{named.__name__}")


def first_sentence(described: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(described) or "").partition("\n")[0]


def nearest_settings(wrong: str, known: list[str]) -> list[str]:
    """The names most similar to a wrong one: at most `NEAREST`, the most similar first.

    Args:
        wrong: A name that does not exist.
        known: The names that exist.

    >>> nearest_settings("batchsize", ["data.batch_size", "data.eval_batch_size", "experiment"])
    ['data.batch_size', 'data.eval_batch_size']
    """
    wrong = wrong.replace(".init_args", "").lower()
    last_word = wrong.rpartition(".")[2]

    def likeness(name: str) -> tuple[float, float]:
        of_last = difflib.SequenceMatcher(None, last_word, name.rpartition(".")[2]).ratio()
        return of_last, difflib.SequenceMatcher(None, wrong, name).ratio()  # decides between equal last words

    ranked = sorted(dict.fromkeys(known), key=likeness, reverse=True)
    return [name for name in ranked[:NEAREST] if likeness(name)[0] > 0.6]


def _settings_below(name: str, owners: list[type], deep: int = 0) -> Iterator[Setting]:
    for owner in owners:
        for argument, parameter in inspect.signature(owner).parameters.items():
            filled_in = argument in FILLED_IN or _hints(owner).get(argument) is Optimizer
            if filled_in or parameter.kind is parameter.VAR_KEYWORD:
                continue
            yield Setting(f"{name}.{argument}", owner, parameter.default)
            if deep < DEEPEST:
                yield from _settings_below(f"{name}.{argument}", classes_at(f"{name}.{argument}"), deep + 1)


def _subclasses(base: type) -> list[type]:
    of_torch = (torch.optim.SGD, torch.optim.Adam) if base is Optimizer else ()  # the most used of its many
    return [*of_torch, *(each for each in class_paths() if issubclass(each, base))]


@cache
def _hints(owner: type) -> dict[str, Any]:
    try:
        return get_type_hints(owner.__init__)  # type: ignore[misc]
    except (NameError, TypeError):  # names that only type checkers can read
        return {}


def _classes_in(hint: Any) -> list[type]:
    """The classes, of tsl or torch's `Optimizer` and `LRScheduler`, that a hint or its callable's result allows."""
    if inspect.isclass(hint) and (hint in (Optimizer, LRScheduler) or hint.__module__.startswith("tsl.")):
        return [hint]
    allowed = get_args(hint)
    return [
        each for inner in (allowed[-1:] if get_origin(hint) is Callable else allowed) for each in _classes_in(inner)
    ]
