"""Mistakes that a user can correct, each as one message: found in exceptions, in the parser's messages, in settings."""

import inspect
import math
import re
import types
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from tsl.errors import InputError

BUG = (
    "tsl does not expect this error, so it may be a bug. Please report it where you got tsl from, with the lines above "
    "and with the settings, which the same command prints if you add --print_config."
)
"""The note below the traceback of an exception that is not a user's mistake."""

TOO_LARGE = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed", "out of memory")
"""Words of torch's messages about a tensor that it cannot allocate; on the CPU it has no exception class for that."""


NOISE = re.compile(r"Does not validate|Subtypes:|Errors:|Given value|Problem with given|Expected a <class 'NoneType'>")
"""The beginnings of lines in jsonargparse's messages that give no reason."""


OF_LIGHTNING = {
    "Timer(duration=": "trainer.max_time",
    "limit_val_batches": "trainer.limit_val_batches or trainer.overfit_batches",
    "limit_train_batches": "trainer.limit_train_batches or trainer.overfit_batches",
}
"""Words of Lightning's messages that name no setting, and the setting that they are about."""


def find_mistake(error: BaseException | None) -> BaseException | None:
    """The user's mistake among an exception and its causes, or None; jsonargparse wraps what constructors raise."""
    while error is not None:
        if isinstance(error, InputError):
            return error
        if isinstance(error, MisconfigurationException):
            if "manual optimization" in str(error):
                return InputError(
                    "trainer.gradient_clip_val and trainer.accumulate_grad_batches: expected their defaults, because "
                    "the modules of tsl take the optimizer steps themselves, without gradient clipping or accumulation"
                )
            settings = [name for words, name in OF_LIGHTNING.items() if words in str(error)]
            return InputError(f"{settings[0]}: {error}") if settings else error
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in TOO_LARGE):
            return InputError(
                f"there is not enough memory ({' '.join(str(error).split())[:200] or 'MemoryError'}): lower "
                "--replicates, data.init_args.train_size, val_size, batch_size or dim, or widths, input_dim, "
                "output_dim and multiplier of the networks (model.init_args)"
            )
        error = error.__cause__ or error.__context__
    return None


def in_short(parsing_error: str) -> str:
    """A message of jsonargparse about a value, shortened to the setting's dotted name and the reasons.

    Args:
        parsing_error: The message, in which the lines about a class inside a class are indented further.

    >>> in_short('''Parser key "data":
    ...   Does not validate against any of the Union subtypes
    ...   Errors:
    ...     - Problem with given class_path 'tsl.data.SyntheticDataModule':
    ...         Parser key "batch_size":
    ...           Not of type PositiveInt: -1 does not conform to restriction v>0
    ...     - Expected a <class 'NoneType'>''')
    'data.init_args.batch_size: Not of type PositiveInt: -1 does not conform to restriction v>0'
    """
    keys: list[tuple[int, str]] = []
    reasons: list[tuple[str, str]] = []
    for line in filter(str.strip, parsing_error.splitlines()):
        indent, words = len(line) - len(line.lstrip(" -")), line.strip(" -")
        keys = [(depth, key) for depth, key in keys if depth < indent]
        if key := re.search(r'Parser key "([^"]+)":', words):
            keys.append((indent, key[1]))
            words = words[key.end() :].strip()
        if words and not NOISE.match(words):
            words = re.sub(
                r"Expected a <class '([\w.]+)'>", r"expected \1", re.sub(r"Got value: Namespace.*", "", words)
            )
            reasons.append((".init_args.".join(key for _, key in keys), words.strip()))
    deepest = max((name.count(".") for name, _ in reasons), default=0)
    by_name: dict[str, list[str]] = {}
    for name, reason in reasons:
        if name.count(".") == deepest and reason not in by_name.setdefault(name, []):
            by_name[name].append(reason)
    said = "; ".join(": ".join(filter(None, [name, ", ".join(texts)])) for name, texts in by_name.items())
    return said or " ".join(parsing_error.split())


def check_nulls(node: Any, name: str, maker: Any = None) -> None:
    """Refuse null for arguments that need a value, because the parser accepts null for every argument.

    Args:
        node: Nested settings, in which class_path names classes.
        name: The dotted name of these settings.
        maker: The class that takes these settings as arguments.

    Raises:
        InputError: If an argument that needs a value is null; the message names the first one.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_nulls(item, f"{name}.{index}")
    if not isinstance(node, Mapping):
        return
    if "class_path" in node:
        if node["class_path"] in ("typing.Union", "torch.Tensor"):  # what the parser makes of {}
            raise InputError(f"{name} = {{}}: expected a value, or class_path with the name of a class")
        node, name, maker = node.get("init_args") or {}, f"{name}.init_args", _imported(node["class_path"])
    for key, value in node.items():
        where = f"{name}.{key}" if name else str(key)
        if value is None and maker is not None and (kind := _needed(maker, str(key))) is not None:
            raise InputError(f"{where} = null: expected {kind}; leave it out for its default, if it has one")
        check_nulls(value, where)


def check_finite(node: Any, name: str) -> None:
    """Refuse infinite numbers and NaN, except among the arguments of classes from elsewhere, which may allow them.

    Args:
        node: Nested settings, in which class_path names classes.
        name: The dotted name of these settings.

    Raises:
        InputError: If a number is infinite or NaN; the message names the first one.
    """
    if isinstance(node, float) and not math.isfinite(node):
        raise InputError(f"{name} = {node}: expected a finite number")
    if isinstance(node, Mapping):
        if str(node.get("class_path", "tsl")).partition(".")[0] not in ("tsl", "torch", "pytorch_lightning"):
            return
        for key, value in node.items():
            check_finite(value, f"{name}.{key}")
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            check_finite(item, f"{name}.{index}")


def _imported(class_path: Any) -> Any:
    module, _, name = str(class_path).rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None  # a short name, which only the parser can resolve


def _needed(maker: Any, argument: str) -> str | None:
    """The type, in words, of an argument that cannot be None; None if it can be, or if its type is unknown."""
    for owner in maker.__mro__ if inspect.isclass(maker) else [maker]:
        function = vars(owner).get("__init__") if inspect.isclass(maker) else owner
        if not inspect.isfunction(function) or argument not in inspect.signature(function).parameters:
            continue
        try:
            hint = get_type_hints(function).get(argument, Any)
        except (NameError, TypeError):  # names that only type checkers can read
            return None
        takes_none = hint is Any or type(None) in get_args(hint) or hint is type(None)
        if takes_none or inspect.signature(function).parameters[argument].default is None:
            return None
        is_union = get_origin(hint) in (Union, types.UnionType)
        return " or ".join(getattr(each, "__name__", str(each)) for each in (get_args(hint) if is_union else [hint]))
    return None
