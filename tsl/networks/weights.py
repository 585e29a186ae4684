"""Reads state dicts from other projects safely, and fits them to a module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tsl.errors import InputError
from tsl.tensor_files import read_tensors

PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes that DataParallel, torch.compile and a wrapping module add to every name."""

CONTAINERS = ("state_dict", "model", "model_state_dict", "weights")
"""Keys under which checkpoints often hold a state dict."""

COUNTER = "num_batches_tracked"


def load_weights(module: nn.Module, path: str, setting: str, weights_key: str | None = None) -> str:
    """Load a state dict from a file.

    Prefixes that all names share (`module.`, `_orig_mod.`, `model.`) are removed if the module has no such names. Masks
    of `torch.nn.utils.prune` are multiplied with their weights. Old files of BatchNorm without the number of batches
    are loaded as torch itself does.

    Args:
        module: The module to load the weights into.
        path: A file of `torch.save`, or of safetensors.
        setting: Name of the setting in messages, such as `--weights`.
        weights_key: The key under which the file holds the state dict; not needed if the file is one.

    Returns:
        A sentence about the prefix that was removed; "" if there was none.

    Raises:
        InputError: If the file is missing, damaged, or of another module; the message lists the keys that differ.
    """
    saved = _state_dict(_read(path, setting), path, setting, weights_key)
    here = module.state_dict()
    saved, prefix = _without_prefixes(saved, set(here))
    saved = _masked(saved)
    here_names = [name for name in here if name in saved or not name.endswith(COUNTER)]
    faults = {
        "missing": [name for name in here_names if name not in saved],
        "unexpected": [name for name in saved if name not in here],
        "of another shape": [
            f"{name} {list(saved[name].shape)} for {list(here[name].shape)}"
            for name in here_names
            if name in saved and saved[name].shape != here[name].shape
        ],
    }
    told = [f"{fault} {', '.join(names[:5])}{' …' * (len(names) > 5)}" for fault, names in faults.items() if names]
    if told:
        raise InputError(f"{setting} = {path} is of another module than {type(module).__name__}: {'; '.join(told)}")
    module.load_state_dict({**here, **saved})
    return f"{path}: took {prefix!r} off all names" if prefix else ""


def _read(path: str, setting: str) -> Any:
    if not Path(path).is_file():
        raise InputError(f"{setting} = {path}: no such file")
    if Path(path).suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise InputError(
                f"{setting} = {path} is a safetensors file: install safetensors (pip install safetensors) to read it"
            ) from error
        try:
            return load_file(path)
        except Exception as error:  # safetensors raises an error class of its own
            raise InputError(f"{setting} = {path} is damaged: {' '.join(str(error).split())}") from error
    return read_tensors(path, f"{setting} = {path}")


def _state_dict(saved: Any, path: str, setting: str, weights_key: str | None) -> dict[str, Tensor]:
    if weights_key is not None:
        if not isinstance(saved, Mapping) or not _is_state_dict(saved.get(weights_key)):
            keys = [str(key) for key, value in saved.items() if _is_state_dict(value)] if _is_mapping(saved) else []
            raise InputError(
                f"{setting} = {path} holds no state dict under {weights_key!r}; it holds some under "
                f"{', '.join(keys) or 'no key'}"
            )
        return dict(saved[weights_key])
    if _is_state_dict(saved):
        return dict(saved)
    keys = [key for key in CONTAINERS if _is_mapping(saved) and _is_state_dict(saved.get(key))]
    more = [str(key) for key, value in saved.items() if _is_state_dict(value)] if _is_mapping(saved) else []
    if keys or more:
        names = ", ".join(dict.fromkeys([*keys, *more]))
        raise InputError(
            f"{setting} = {path} is a checkpoint that holds state dicts under {names}: choose one with weights_key "
            f"(--weights-key {(keys or more)[0]} of tsl.compare)"
        )
    raise InputError(
        f"{setting} = {path} holds no state dict of tensors by name: write it with "
        "torch.save(module.state_dict(), path)"
    )


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and len(value) > 0 and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _without_prefixes(saved: dict[str, Tensor], here: set[str]) -> tuple[dict[str, Tensor], str]:
    """The state dict without prefixes that all its names share and the module's names do not; and these prefixes."""
    taken = ""
    while (prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in saved)), None)) is not None:
        if any(name.startswith(prefix) for name in here):
            break
        saved = {name.removeprefix(prefix): tensor for name, tensor in saved.items()}
        taken += prefix
    return saved, taken


def _masked(saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the product of each weight_orig and weight_mask of `torch.nn.utils.prune` as weight."""
    result = dict(saved)
    for name in saved:
        stem = name.removesuffix("_orig")
        if stem != name and f"{stem}_mask" in saved:
            result[stem] = result.pop(name) * result.pop(f"{stem}_mask")
    return result
