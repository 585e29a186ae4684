"""Broken settings, derived from the shipped configs: every setting in turn gets values that it cannot have."""

import contextlib
import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.data.image_files import write_cifar10
from tsl.configs import config_directory, kind, shipped_configs
from tsl.fit import main
from tsl.networks import ConvNet, DefaultInitialization, save_network
from tsl.randomness import replicate_generators

BAD: tuple[Any, ...] = (
    *(None, True, "banana", "", [], {}, [1, "x"], {"a": 1}, "no/such/file.pt", "no.such.Class"),
    *(-1, 0, 1, -0.5, 0.5, 2.5, 10**6, 10**12, 2**32, 2**63, -(2**63), 1e308, 1e-308),
    *(float("nan"), float("inf"), -float("inf"), [-1], [0], [10**12], [float("nan")], [[1]]),
)
"""Values of a wrong type, negative, zero, huge, tiny, not finite, empty, missing; each is legal somewhere."""

SMALL = {
    **{
        "input_dim": 6,
        "dim": 6,
        "subspace_dim": 3,
        "output_dim": 3,
        "train_size": 60,
        "val_size": 50,
        "batch_size": 5,
        "chunk_size": 3,
    },
    **{"steps_per_epoch": 3, "max_epochs": 2, "every_n_epochs": 1, "check_val_every_n_epoch": 1, "total_samples": None},
    **{"replicates": 2, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False},
}
"""Sizes at which a config runs in a moment, by the last words of the settings."""


OF_SEVERAL_PROCESSES = {("trainer", name) for name in ("devices", "num_nodes", "strategy")}
"""Settings that are left as they are: most numbers would start, or wait for, other processes."""


class Broken(NamedTuple):
    """A config in which one or two settings were changed.

    Attributes:
        keys: Their dotted names.
        values: Their new values.
        config: The whole, nested.
    """

    keys: tuple[str, ...]
    values: tuple[Any, ...]
    config: dict[str, Any]


def chain(name: str) -> list[str]:
    """The shipped configs that are laid over each other for one of them, as the comments in it or its folder say."""
    text = (config_directory() / name).read_text(encoding="utf-8")
    command = re.search(r"^# +python -m tsl\.fit (.*configs/" + re.escape(name) + ")", text, re.MULTILINE)
    if command:
        return re.findall(r"--config configs/(\S+)", command[1])
    folder, _, own = name.partition("/")
    below = own if folder == "quick" else f"{folder}.yaml"
    below = {"E8_teacher.yaml": "cifar10/teacher.yaml"}.get(below, below)
    return [*(each for each in chain(below) if Path(each).parent != Path(folder)), name]


def fitted_configs() -> list[str]:
    """All shipped configs that `tsl.fit` takes, without those of a ResNet-18, which cannot be made small."""
    left_out = ("published.yaml", "images/distillation.yaml", "images/fast.yaml")
    return [name for name in shipped_configs() if "sweep" not in kind(name) and name not in left_out]


def printed(name: str) -> dict[str, Any]:
    """All settings of a shipped config, with those under it and the defaults."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*(word for config in chain(name) for word in ("--config", config)), "--print_config"])
    settings: dict[str, Any] = yaml.safe_load(out.getvalue())
    return settings


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths to all settings in a nested config; a class path and its arguments are a setting too."""
    if path and (not isinstance(node, dict) or "class_path" in node):
        yield path
    items = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def changed(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of a nested config with another value at one path."""
    if not path:
        return value
    if isinstance(node, list):
        return [changed(item, path[1:], value) if index == path[0] else item for index, item in enumerate(node)]
    return {**node, path[0]: changed(node.get(path[0]), path[1:], value)}


def small(settings: dict[str, Any], files: Path) -> dict[str, Any]:
    """A printed config at a size at which it runs in a moment, on images and a teacher in `files`."""
    by_name = SMALL | {"data_dir": str(files), "checkpoint": str(files / "teacher.pt"), "verify": False}
    of_images = "CIFAR10" in settings["data"]["class_path"]
    for path in list(leaves(settings)):
        name = path[-1]
        if of_images and name in ("output_dim", "train_size", "steps_per_epoch", "val_size"):
            settings = changed(settings, path, {"output_dim": 10, "train_size": 20, "val_size": 0}.get(name))
        elif name == "widths":
            settings = changed(settings, path, [4] * (1 if settings["model"] and not of_images else 4))
        elif name in by_name and path[-2:] != ("checkpoint",):
            settings = changed(settings, path, by_name[name])
    noise = settings["model"]["init_args"].get("noise")
    return settings | ({"replicates": len(noise)} if isinstance(noise, list) else {})


def write_files(folder: Path) -> None:
    """The images and the teacher that `small` names."""
    write_cifar10(folder, train=40, test=10)
    network = ConvNet(1, input_shape=[3, 32, 32], widths=[4, 4, 4, 4], output_dim=10)
    DefaultInitialization()(network, replicate_generators("teacher", 0, 1))
    save_network(network, folder / "teacher.pt")


def broken(settings: dict[str, Any], seed: int) -> Iterator[Broken]:
    """Ever more configs with one setting changed, an unknown key, or two settings changed, in random order."""
    generator = random.Random(seed)
    paths = [path for path in leaves(settings) if path not in OF_SEVERAL_PROCESSES]
    while True:
        kind = generator.random()
        count = 2 if kind < 0.15 else 1
        chosen = generator.sample(paths, count)
        if kind > 0.95:
            chosen = [(*chosen[0][:-1], f"{chosen[0][-1]}x")]
        values = tuple(generator.choice(BAD) for _ in chosen)
        config = settings
        for path, value in zip(chosen, values, strict=True):
            with contextlib.suppress(TypeError):  # a path inside what the first change replaced
                config = changed(config, path, value)
        yield Broken(tuple(".".join(map(str, path)) for path in chosen), values, config)


def as_yaml(config: dict[str, Any]) -> str:
    """A config file."""
    return yaml.safe_dump(config, sort_keys=False)
