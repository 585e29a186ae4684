"""Saves networks with their weights in one file, and loads such a file, for example as a teacher."""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward
from tsl.tensor_files import read_tensors

KEYS = {"class_path", "init_args", "state_dict"}
RUN_PREFIX = "network."


class Pretrained(FeedForward):
    """Loads networks from a file, so that a config can name them by `class_path`.

    The result is of the class that is named in the file. A file with one network serves any number of replicates.

    Args:
        replicates: Number R of networks: as many as the file holds, or any number of copies if it holds one.
        checkpoint: A file written by `save_network`, such as those of `tsl.prune_teacher`; or a checkpoint of a run of
            `tsl.modules.Classifier`, in the run's directory: `runs/cifar10_teacher/version_0/checkpoints/best.ckpt`.

    Raises:
        InputError: If there is no such file, it is damaged, or its networks do not fit.
    """

    def __new__(cls, replicates: int = 1, *, checkpoint: str) -> FeedForward:  # type: ignore[misc]
        """The networks, with their weights."""
        return load_network(checkpoint, replicates)

    def __init__(self, replicates: int = 1, *, checkpoint: str) -> None:
        raise AssertionError("__new__ makes networks of another class")


def save_network(network: FeedForward, path: Path | str) -> None:
    """Write networks to a file that `load_network` reads.

    It holds plain values and tensors: `class_path`, `init_args` (except the replicates) and `state_dict`.
    """
    kind = type(network)
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    init_args = json.loads(json.dumps(network.init_args))  # numbers of jsonargparse's types could not be loaded
    torch.save({"class_path": f"{kind.__module__}.{kind.__name__}", "init_args": init_args, "state_dict": state}, path)


def load_network(path: Path | str, replicates: int | None = None) -> FeedForward:
    """Make the networks of a file, in the default precision.

    Args:
        path: As `checkpoint` of `Pretrained`.
        replicates: Number R of networks; as many as the file holds if None.

    Raises:
        InputError: See `Pretrained`.
    """
    saved = _read(Path(path))
    state: dict[str, Tensor] = saved["state_dict"]
    held = len(next(iter(state.values())))
    if replicates is not None and held not in (1, replicates):
        raise InputError(
            f"checkpoint: {path} holds {held} networks, but replicates = {replicates}: set --replicates {held}, or "
            "give a file of one network, which fits any number"
        )
    network = _instantiate(Path(path), saved["class_path"], saved["init_args"] | {"replicates": replicates or held})
    try:
        network.load_state_dict({name: t.expand(network.replicates, *t.shape[1:]) for name, t in state.items()})
    except RuntimeError as error:
        raise InputError(
            f"checkpoint: {path} does not fit the settings in it: {' '.join(str(error).split())}"
        ) from error
    return network


def _read(path: Path) -> dict[str, Any]:
    """The content of a file of `save_network`, or that of a Classifier's checkpoint in the same form."""
    if not path.is_file():
        raise InputError(
            f"checkpoint: {path}: no such file. Give one that tsl.prune_teacher wrote, or a checkpoint of a run "
            "of tsl.modules.Classifier (model.init_args.teacher.init_args.checkpoint)"
        )
    saved = read_tensors(path, f"checkpoint: {path}")
    if isinstance(saved, dict) and "pytorch-lightning_version" in saved:
        weights = saved["state_dict"].items()
        own = {name.removeprefix(RUN_PREFIX): tensor for name, tensor in weights if name.startswith(RUN_PREFIX)}
        return _settings_of_run(path) | {"state_dict": own}
    if not isinstance(saved, dict) or not saved.keys() >= KEYS or not saved["state_dict"]:
        raise InputError(
            f"checkpoint: {path} holds no network with its settings ({', '.join(sorted(KEYS))}): write it with "
            "tsl.networks.save_network, or give a checkpoint in the directory of its run"
        )
    return saved


def _settings_of_run(checkpoint: Path) -> dict[str, Any]:
    """Class and arguments of the networks of a Classifier's run."""
    config = checkpoint.resolve().parent.parent / "config.yaml"
    try:
        named = yaml.safe_load(config.read_text())["model"]["init_args"]["network"]
        class_path, init_args = named["class_path"], named.get("init_args", {})
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f"checkpoint: {checkpoint} is of a run, but {config} does not name its network: leave the file in "
            "the directory of its run, which has to be one of tsl.modules.Classifier"
        ) from error
    if class_path.rsplit(".", 1)[-1] == Pretrained.__name__:
        return _read(Path(init_args["checkpoint"]))
    return {"class_path": class_path, "init_args": init_args}


def _check_class(path: Path, class_path: str) -> None:
    """Refuse a class that is not a network, without importing it, because an untrusted file may name any module.

    Raises:
        InputError: If it is neither a network of tsl nor a network in a module that is already imported.
    """
    module, _, name = str(class_path).rpartition(".")
    if module.partition(".")[0] == "tsl":
        return
    kind = getattr(sys.modules.get(module), name, None)
    if not inspect.isclass(kind) or not issubclass(kind, FeedForward):
        raise InputError(
            f"checkpoint: {path} names {class_path}, which is no network of tsl.networks, so it is not imported. If it "
            "is a network of yours, import its module before you load the file"
        )


def _instantiate(path: Path, class_path: str, init_args: dict[str, Any]) -> FeedForward:
    _check_class(path, class_path)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("network", type=FeedForward)
    try:
        network = parser.parse_object({"network": {"class_path": class_path, "init_args": init_args}})
        return parser.instantiate_classes(network)["network"]
    except (ArgumentError, TypeError) as error:
        words = " ".join(str(error).split())
        raise InputError(f"checkpoint: {path} names a network that cannot be made: {words}") from error
