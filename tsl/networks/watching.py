"""Records the outputs of the modules of any torch network, call by call.

Letters: B inputs, C channels, T tokens.
"""

from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
"""Modules whose nodes are channels, axis 1."""

LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention)
"""Modules whose nodes are features, the last axis, unless their width fits another (LayerNorm over channels)."""

NO_ACTIVATIONS = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)


class WatchedLayer(nn.Identity):
    """Identity for values to watch that are not the output of a module of their own, such as `F.relu(x)`."""


class Layer(NamedTuple):
    """One call of one module.

    Attributes:
        name: The module's name, followed by #1, #2 … if it is called several times in a pass.
        shape: Shape of its output; () if the output is not a tensor.
        node_axis: The axis of its nodes: 1 for channels `[B, C, …]`, the last for features `[B, T, features]`.
        is_activation: Whether it is an activation.
    """

    name: str
    shape: tuple[int, ...]
    node_axis: int
    is_activation: bool


class Watcher:
    """Runs a network and returns copies of the outputs of chosen modules.

    Each output is copied at once, so a later in-place activation does not change the copy. The network gets a copy of
    its inputs, so a network that changes them in place does not change the caller's.

    The axis of an output's nodes is that of the last module with weights that ran before: axis 1 after a convolution or
    its normalization, the last axis after `nn.Linear` or `nn.LayerNorm`. If none ran, it is axis 1 for maps
    `[B, C, H, W]` and the last for tokens `[B, T, features]`.

    Args:
        module: The network. It has hooks while it runs.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._wanted: Collection[str] = ()
        self._axis: int | None = None
        self._calls: Counter[str] = Counter()
        self._layers: dict[str, Layer] = {}
        self._outputs: dict[str, Tensor] = {}

    @torch.no_grad()
    def layers(self, inputs: Tensor) -> list[Layer]:
        """Every call of every module in the order in which they end, for a few inputs."""
        self._run(inputs, wanted=())
        return [layer._replace(name=self._label(raw)) for raw, layer in self._layers.items()]

    def outputs(self, inputs: Tensor, names: Collection[str]) -> tuple[Any, dict[str, Tensor]]:
        """The network's output, and those of layers.

        Args:
            inputs: `[B, …]`; not changed.
            names: Names as in `layers`; the plain name of a module called several times is its last call.

        Returns:
            The output, and a copy of each layer's output by name, without layers that did not run or whose output is
            not a tensor.
        """
        plain = {name.partition("#")[0] for name in names}
        output = self._run(inputs, wanted=plain)
        last = {raw.partition("#")[0]: tensor for raw, tensor in self._outputs.items()}
        everything = {**self._outputs, **last}
        self._outputs = {}
        return output, {name: everything[name] for name in names if name in everything}

    def _run(self, inputs: Tensor, wanted: Collection[str]) -> Any:
        self._wanted, self._axis = wanted, None
        self._calls, self._layers, self._outputs = Counter(), {}, {}
        modules = [(name, inner) for name, inner in self.module.named_modules() if name]
        hooks = [inner.register_forward_hook(partial(self._see, name)) for name, inner in modules]
        try:
            return self.module(inputs.clone())
        finally:
            for hook in hooks:
                hook.remove()

    def _label(self, raw: str) -> str:
        name = raw.partition("#")[0]
        return raw if self._calls[name] > 1 else name

    def _see(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        is_tensor = isinstance(output, Tensor)
        if is_tensor:
            self._axis = _node_axis(module, output, self._axis)
        self._calls[name] += 1
        raw = f"{name}#{self._calls[name]}"
        shape = tuple(output.shape) if is_tensor else ()
        axis = self._axis if self._axis is not None else (len(shape) - 1 if len(shape) == 3 else 1)
        self._layers[raw] = Layer(name, shape, axis if axis > 0 else len(shape) - 1, _is_activation(module))
        if is_tensor and name in self._wanted:
            self._outputs[raw] = output.clone()


def _node_axis(module: nn.Module, output: Tensor, before: int | None) -> int | None:
    if isinstance(module, FIRST):
        return 1
    if isinstance(module, LAST):
        width = module.normalized_shape[-1] if isinstance(module, nn.LayerNorm) else output.shape[-1]
        return -1 if output.shape[-1] == width else 1
    return before


def _is_activation(module: nn.Module) -> bool:
    """Whether it is from torch.nn's activations, or from a file of that name in a library (timm, transformers)."""
    kind = type(module)
    own = kind.__module__.rsplit(".", 1)[-1] in ("activation", "activations") and not isinstance(module, NO_ACTIVATIONS)
    return own or isinstance(module, WatchedLayer)
