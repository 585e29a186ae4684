"""Loads the networks and inputs that the command line names, including runs and data, which `compare` does not load."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from tsl.errors import InputError
from tsl.networks import Network
from tsl.networks.elsewhere import imported_module, named_model
from tsl.networks.watching import WatchedLayer
from tsl.networks.weights import load_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class OneReplicate(nn.Module):
    """One replicate of a network of tsl, for inputs `[B, …]`; hidden layer l is called layer{l}."""

    def __init__(self, network: Network, replicate: int) -> None:
        super().__init__()
        self.network, self.replicate = network, replicate
        for layer in range(len(network.widths)):
            self.add_module(f"layer{layer + 1}", WatchedLayer())

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[B, outputs]`."""
        shape = (self.network.replicates, *inputs.shape)
        activations = self.network.activations(inputs.expand(shape))
        for layer, post in enumerate(activations.post):
            self.get_submodule(f"layer{layer + 1}")(post[self.replicate])
        return activations.output[self.replicate]


def network_of(source: str, weights_key: str | None, replicate: int) -> tuple[nn.Module, list[str]]:
    """The network that a source names, and notes for the user about it.

    Args:
        source: A run or a checkpoint in its folder, followed by `:teacher` for its teacher; an import path; or the
            name of a model of torchvision or timm. The last two may be followed by `=FILE`, a file of weights.
        weights_key: The key under which a file holds its state dict.
        replicate: The replicate of a run.

    Raises:
        InputError: If there is no such network, or its weights do not fit.
    """
    where = Path(source.removesuffix(":teacher").removesuffix(":student"))
    if where.exists():
        return _of_run(where, source.endswith(":teacher"), replicate), []
    name, _, weights = source.partition("=")
    if any(mark in name for mark in ("\\", ":")) or name.startswith(("/", ".")):
        raise InputError(f"{name}: no such run or checkpoint")
    module = imported_module(name, "network") if "." in name and "/" not in name else named_model(name, "network")
    if weights:
        said = load_weights(module, weights, f"weights of {name}", weights_key)
        return module, [said] if said else []
    return module, [] if "." in name else [f"{name}: its weights are random; give {name}=FILE for trained ones"]


def _of_run(where: Path, teacher: bool, replicate: int) -> OneReplicate:
    from tsl.networks.pretrained import load_network

    run = where if where.is_dir() else where.resolve().parent.parent
    if not (run / "config.yaml").is_file():
        raise InputError(f"{where}: expected a run's folder with its config.yaml, or a file in its checkpoints/")
    network: Any
    if "tsl.modules.Classifier" in (run / "config.yaml").read_text():
        network = load_network(where if where.is_file() else run / "checkpoints" / "last.ckpt")
    else:
        from tsl.modules.load_run import load_run

        module = load_run(run, where if where.is_file() else None).module
        network = module.teacher if teacher else module.student
    if replicate >= network.replicates:
        raise InputError(f"--replicate {replicate}: {run} has replicates 0 to {network.replicates - 1}")
    return OneReplicate(network.eval(), replicate)


def inputs_of(data: str | None, first: str, size: int, count: int | None, replicate: int) -> Any:
    """The inputs that --data names: a tensor, or a loader of batches in random order.

    Raises:
        InputError: If there are none.
    """
    if data is None:
        return _inputs_of_run(Path(first.removesuffix(":teacher").removesuffix(":student")), replicate, count)
    path = Path(data)
    if path.is_file():
        return _some(tensor_of_file(path), count)
    if not path.is_dir():
        raise InputError(f"--data {path}: no such file or folder")
    if (path / CIFAR10.base_folder).is_dir():
        from tsl.data.cifar10 import CIFAR10DataModule

        module = CIFAR10DataModule(data_dir=str(path), verify=False)
        found = module.read()
        images = found.images[len(found.images) - found.test_size :].float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (module.mean, module.std))
        return _some((images - mean) / std, count)
    return _image_folder(path, size, count)


def _some(inputs: Tensor, count: int | None) -> Tensor:
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return inputs[order[:count]]


def _inputs_of_run(where: Path, replicate: int, count: int | None) -> Tensor:
    run = where if where.is_dir() else where.parent.parent
    if not (run / "config.yaml").is_file():
        raise InputError("--data: name an image folder, CIFAR-10's folder or a tensor file (only a run has its own)")
    from tsl.modules.load_run import data_of_run

    loader: Any = data_of_run(run).val_dataloader()[0]
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader]
    return _some(torch.cat([batch[min(replicate, len(batch) - 1)] for batch in batches]), count)


def _image_folder(path: Path, size: int, count: int | None) -> Iterable[Any]:
    from torchvision.datasets import ImageFolder

    folders = {folder.name for folder in path.iterdir() if folder.is_dir()}
    if folders & {"train", "training"} and folders & {"val", "valid", "validation", "test"}:
        raise InputError(
            f"--data {path} holds {', '.join(sorted(folders))}, which are splits, not classes: name one of them"
        )
    transform = v2.Compose(
        [
            *(v2.RGB(), v2.Resize(size), v2.CenterCrop(size)),
            *(v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)),
        ]
    )
    try:
        images = ImageFolder(str(path), transform=transform)
    except FileNotFoundError as error:  # torchvision's message names the class without images, if any
        raise InputError(f"--data {path}: {error}. Expected a folder for each class, with images in it") from error
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    return DataLoader(torch.utils.data.Subset(images, order.tolist()), batch_size=64)


def tensor_of_file(path: Path) -> Tensor:
    """Inputs `[N, …]` from a .npy, .pt or .pth file of one array.

    Raises:
        InputError: If it is damaged or holds anything else.
    """
    try:
        if path.suffix == ".npy":
            content: Any = torch.from_numpy(np.array(np.load(path, allow_pickle=False)))
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises depends on where the damage is
        cause = " ".join(str(error).split())
        raise InputError(f"--data {path} is damaged, or is not a .npy, .pt or .pth file: {cause}") from error
    if isinstance(content, dict) and len(content) == 1:
        content = next(iter(content.values()))
    if not isinstance(content, Tensor) or not content.ndim:
        raise InputError(f"--data {path} holds a {type(content).__name__}: expected one tensor [N, …]")
    if content.is_floating_point() and not content.isfinite().all():
        raise InputError(f"--data {path} has NaN or infinite numbers: remove those inputs")
    return content


def unique(names: Iterable[str]) -> Iterator[str]:
    """The names, with (2), (3) … after those that came before."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})"
