"""A teacher from another project: any torch module, with the names of the layers to watch.

Letters: R replicates, B inputs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from jsonargparse.typing import PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.network import Activations, Network
from tsl.tensor_files import read_tensors

KEY = "model.init_args.teacher.init_args"


class External(Network):
    """One trained module as the teacher of all R replicates: they are folded into its batch.

    It is frozen and always in evaluation mode. A watched layer is what one of its modules puts out, maps
    `[B, C, H, W]` or nodes `[B, nodes]`; of a module that is called several times, such as the ReLU of a ResNet's
    block, the last call counts. Pre- and post-activations are both that output, so watch activations, not what comes
    before them: the sign of a ReLU's output shows that of its input. Strengths are NaN, and no node counts as
    pruned. Its student needs an architecture of its own, `model.init_args.student`.

    Args:
        replicates: Number R of replicates that share it.
        input_shape: Shape of an input, such as [3, 32, 32].
        layers: Names of the modules to watch, from the input upward, as `named_modules` gives them.
        module: The module, by class_path and init_args: a class or an annotated function.
        torchvision_model: The name of a model of torchvision instead, such as resnet18.
        weights: File of its state dict, as `torch.save(module.state_dict(), path)` writes it. As the module comes where
            None.

    Raises:
        InputError: If there are no or two modules, layers that are not there or cannot be watched, inputs that do not
            fit, or a file that is missing, damaged or of another module.
    """

    def __init__(
        self,
        replicates: PositiveInt = 1,
        *,
        input_shape: list[PositiveInt],
        layers: list[str],
        module: nn.Module | None = None,
        torchvision_model: str | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if module is None and torchvision_model is not None:
            module = from_torchvision(torchvision_model)
        elif module is None or torchvision_model is not None:
            raise InputError(f"{KEY}: give module or torchvision_model, not both")
        self.module = module
        if weights is not None:
            load_weights(self.module, weights)
        self.replicates = replicates
        self.input_shape = list(input_shape)
        self.layers = layers
        self._watched: dict[str, Tensor] = {}
        modules = dict(self.module.named_modules())
        missing = [name for name in layers if name not in modules]
        if missing or not layers:
            raise InputError(
                f"{KEY}.layers = {layers}: no such layers as {missing}; choose, from the input upward, among "
                f"{', '.join(name for name in modules if name)}"
            )
        for name in layers:
            modules[name].register_forward_hook(partial(self._watch, name))
        self.eval().requires_grad_(False)
        self._try()

    def train(self, mode: bool = True) -> "External":
        """Stay in evaluation mode."""
        return super().train(False)

    def activations(self, inputs: Tensor) -> Activations:
        """The module's output and the watched layers', for inputs `[R, B, ...]`."""
        self._watched.clear()
        output = self.module(inputs.flatten(0, 1))
        watched = [self._watched[name].unflatten(0, inputs.shape[:2]) for name in self.layers]
        self._watched.clear()
        return Activations(watched, watched, output.unflatten(0, inputs.shape[:2]))

    def active_nodes(self) -> list[Tensor]:
        """All; see the base class."""
        device = next(self.parameters(), torch.empty(0)).device
        return [torch.ones(self.replicates, width, dtype=torch.bool, device=device) for width in self.widths]

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """NaN; see the base class."""
        return [post.new_full((self.replicates, post.shape[2]), torch.nan) for post in activations.post]

    def _watch(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        # A copy, for an activation after this layer may work in place.
        self._watched[name] = output.clone() if isinstance(output, Tensor) else torch.empty(0)

    @torch.no_grad()
    def _try(self) -> None:
        """Find the layers' shapes, and check that inputs fit."""
        like = next((parameter for parameter in self.parameters()), torch.empty(0))
        try:
            output = self.module(like.new_zeros(2, *self.input_shape))
        except Exception as error:  # another project's module may raise anything
            raise InputError(
                f"{KEY}.input_shape = {self.input_shape} does not fit {type(self.module).__name__}: "
                f"{' '.join(str(error).split())}"
            ) from error
        for name, values in {**{name: self._watched.get(name) for name in self.layers}, "output": output}.items():
            axes = (2,) if name == "output" else (2, 4)
            if not isinstance(values, Tensor) or values.ndim not in axes or len(values) != 2:
                got = f"got {list(values.shape)}" if isinstance(values, Tensor) and values.numel() else "got none"
                raise InputError(
                    f"{KEY}.layers: {name} of {type(self.module).__name__} cannot be watched: expected [B, nodes] or "
                    f"maps [B, C, H, W] for B = 2, {got}"
                )
        watched = [self._watched[name] for name in self.layers]
        self.widths = [values.shape[1] for values in watched]
        self.map_sizes = [tuple(values.shape[2:]) for values in watched]
        self.output_dim = output.shape[1]
        self._watched.clear()


def from_torchvision(name: str) -> nn.Module:
    """A model of torchvision by its name, its weights drawn at random; nothing is downloaded.

    Raises:
        InputError: If there is none.
    """
    try:
        make: Callable[..., nn.Module] = torchvision.models.get_model_builder(name)
    except ValueError as error:
        names = ", ".join(torchvision.models.list_models(torchvision.models))
        raise InputError(f"{KEY}.torchvision_model = {name}: no such model; choose among {names}") from error
    return make(weights=None)


def load_weights(module: nn.Module, path: str) -> None:
    """Load a state dict from a file, safely.

    Raises:
        InputError: If the file is missing, damaged, or of another module; the message names keys.
    """
    if not Path(path).is_file():
        raise InputError(f"{KEY}.weights = {path}: no such file")
    saved = read_tensors(path, f"{KEY}.weights = {path}")
    if not isinstance(saved, Mapping) or not all(isinstance(value, Tensor) for value in saved.values()):
        raise InputError(
            f"{KEY}.weights = {path} holds no state dict of tensors by name: write it with "
            "torch.save(module.state_dict(), path)"
        )
    here = module.state_dict()
    both = [name for name in here if name in saved]
    faults = {
        "missing": [name for name in here if name not in saved],
        "unexpected": [name for name in saved if name not in here],
        "of another shape": [
            f"{name} {list(saved[name].shape)} for {list(here[name].shape)}"
            for name in both
            if saved[name].shape != here[name].shape
        ],
    }
    mismatches = [
        f"{fault} {', '.join(names[:5])}{' …' * (len(names) > 5)}" for fault, names in faults.items() if names
    ]
    if mismatches:
        raise InputError(f"{KEY}.weights = {path} does not fit {type(module).__name__}: {'; '.join(mismatches)}")
    module.load_state_dict(saved)
