"""A network that is compared: its watched layers, and their outputs for a block of inputs."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from tsl.compare.views import Place
from tsl.errors import InputError
from tsl.networks.watching import Layer, Watcher


class WatchedNetwork:
    """A network in evaluation mode; `close` restores its modes.

    Args:
        name: Name of the network in tables and messages.
        module: The network.
        patterns: Names of its layers, in which `*` matches anything; every activation if None.
        inputs: The first few of the inputs.

    Raises:
        InputError: If inputs do not fit, or layers do not exist, did not run or cannot be watched.
    """

    def __init__(self, name: str, module: nn.Module, patterns: Sequence[str] | None, inputs: Tensor) -> None:
        self.name, self.module = name, module
        self._modes = {inner: inner.training for inner in module.modules()}
        module.eval()
        self._watcher = Watcher(module)
        try:
            inputs = self._fitted(inputs)
            layers = self._checked(lambda: self._watcher.layers(inputs), inputs)
            self.places = [self._place(layer, len(inputs)) for layer in self._chosen(layers, patterns)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Restore the network's modes."""
        for inner, mode in self._modes.items():
            inner.training = mode

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> list[Tensor]:
        """The outputs of the watched layers, in order, for inputs `[B, …]`.

        Raises:
            InputError: If inputs do not fit, or an output is not finite or not of B inputs.
        """
        inputs = self._fitted(inputs)
        names = [place.layer for place in self.places]
        _, found = self._checked(lambda: self._watcher.outputs(inputs, names), inputs)
        outputs = []
        for place in self.places:
            values = found.get(place.layer)
            if values is None or len(values) != len(inputs) or values.shape[place.node_axis] != place.nodes:
                got = "did not run" if values is None else f"gave {list(values.shape)}"
                raise InputError(
                    f"network {self.name}: layer {place.layer} {got} for {len(inputs)} inputs: expected {place.nodes} "
                    "nodes for each input, as for the first; leave it out of layers"
                )
            if not values.sum().isfinite() and not values.isfinite().all():  # a sum may overflow where no value does
                raise InputError(
                    f"network {self.name}: layer {place.layer} has NaN or infinite outputs, which cannot be "
                    "compared: check the network's weights and the inputs' scale"
                )
            outputs.append(values)
        return outputs

    def _fitted(self, inputs: Tensor) -> Tensor:
        """The inputs on the network's device; floating-point inputs also in its precision."""
        like = next((tensor for tensor in self.module.parameters() if tensor.is_floating_point()), None)
        if like is None:
            return inputs
        return inputs.to(like.device, like.dtype if inputs.is_floating_point() else None)

    def _checked(self, run, inputs: Tensor):  # type: ignore[no-untyped-def]
        try:
            return run()
        except Exception as error:  # another project's module may raise anything
            raise InputError(
                f"network {self.name}: {type(self.module).__name__} cannot take inputs {list(inputs.shape)} of type "
                f"{inputs.dtype}: {' '.join(str(error).split())[:300]}"
            ) from error

    def _chosen(self, layers: Sequence[Layer], patterns: Sequence[str] | None) -> list[Layer]:
        if patterns is None:
            chosen = [layer for layer in layers if layer.is_activation and layer.shape]
            if not chosen:
                raise InputError(
                    f"network {self.name}: {type(self.module).__name__} has no activation that is a module (F.relu is "
                    f"none), so give layers; it has {_some([layer.name for layer in layers])}"
                )
            return chosen
        names = [layer.name for layer in layers]
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in names):
                if pattern in dict(self.module.named_modules()):
                    raise InputError(f"network {self.name}: layers: {pattern} never ran; leave it out")
                near = get_close_matches(pattern, names, 5) or names
                raise InputError(
                    f"network {self.name}: layers: {pattern} is no layer of {type(self.module).__name__}; nearest: "
                    f"{_some(near)}"
                )
        return [layer for layer in layers if any(_matches(layer.name, pattern) for pattern in patterns)]

    def _place(self, layer: Layer, inputs: int) -> Place:
        if len(layer.shape) < 2 or layer.shape[0] != inputs:
            raise InputError(
                f"network {self.name}: layer {layer.name} cannot be watched: expected a tensor [B, …] with nodes for "
                f"each of B = {inputs} inputs, got {list(layer.shape) or 'no tensor'}"
            )
        grid = tuple(size for axis, size in enumerate(layer.shape) if axis not in (0, layer.node_axis))
        return Place(self.name, layer.name, layer.shape[layer.node_axis], grid, layer.node_axis)


def _matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern; a pattern without a call number matches every call."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.partition("#")[0], pattern)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
