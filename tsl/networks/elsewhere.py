"""Modules by their names: models of torchvision and timm, and anything that can be imported."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import torchvision
from torch import nn

from tsl.errors import InputError


def named_model(name: str, setting: str, outputs: int | None = None) -> nn.Module:
    """A model of torchvision or, if torchvision has none, of timm (if installed), with random weights.

    Nothing is downloaded. If both have a model of this name, `timm/NAME` is timm's.

    Args:
        name: Name of the model.
        setting: The setting's name in messages.
        outputs: Number of classes; the library's number (1,000) if None.

    Raises:
        InputError: If there is no such model; the message lists the nearest names.
    """
    library, _, bare = name.rpartition("/")
    settings: dict[str, Any] = {} if outputs is None else {"num_classes": outputs}
    ours = torchvision.models.list_models(torchvision.models)
    if library in ("", "torchvision") and bare in ours:
        return torchvision.models.get_model_builder(bare)(weights=None, **settings)
    try:
        import timm
    except ImportError as error:
        if library == "timm":
            raise InputError(f"{setting} = {name}: install timm (pip install timm) to make it") from error
        theirs: list[str] = []
    else:
        theirs = timm.list_models()
        if library in ("", "timm") and bare in theirs:
            return timm.create_model(bare, pretrained=False, **settings)
    near = get_close_matches(bare, ours, 4) + [f"timm/{model}" for model in get_close_matches(bare, theirs, 4)]
    raise InputError(
        f"{setting} = {name}: no such model; nearest: {', '.join(near or ours[:8])}"
        + ("" if theirs else " (timm, which has more, is not installed)")
    )


def imported_module(path: str, setting: str) -> nn.Module:
    """A module from an import path: an nn.Module, or a class or function that makes one without arguments.

    Raises:
        InputError: If it cannot be imported or made.
    """
    where, _, name = path.rpartition(".")
    try:
        found: Any = getattr(import_module(where), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{setting} = {path} cannot be imported: {error}") from error
    if not isinstance(found, nn.Module):
        try:
            found = found()
        except Exception as error:  # it may raise anything
            raise InputError(
                f"{setting} = {path} cannot be made without arguments ({' '.join(str(error).split())}): give a "
                "function that takes none"
            ) from error
    if not isinstance(found, nn.Module):
        raise InputError(f"{setting} = {path} gives a {type(found).__name__}: expected an nn.Module")
    return found
