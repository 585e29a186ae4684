"""A teacher from another project: any torch module, with the names of the layers to watch.

Letters: R replicates, B inputs.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jsonargparse.typing import PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.elsewhere import named_model
from tsl.networks.network import Activations, Network, all_active, without_strengths
from tsl.networks.watching import Watcher
from tsl.networks.weights import load_weights

KEY = "model.init_args.teacher.init_args"

log = logging.getLogger(__name__)


class External(Network):
    """One trained module as the teacher of all R replicates: they are folded into its batch.

    The module is frozen and always in evaluation mode. It gets a copy of the inputs, so a module that changes them in
    place does not change the student's. A watched layer is the output of one of its modules, maps `[B, C, H, W]` or
    nodes `[B, nodes]`, before an in-place activation overwrites it. If a module is called several times, such as the
    ReLU of a ResNet's block, `relu#1` is the first call, and plain `relu` the last. The output serves as pre- and as
    post-activation, so watch activations rather than the layers before them: a ReLU's output is positive exactly where
    its input is. Strengths are NaN, and no node counts as pruned. Its student needs an architecture of its own,
    `model.init_args.student`.

    Args:
        replicates: Number R of replicates that share the module.
        input_shape: Shape of an input, such as [3, 32, 32].
        layers: Names of the modules to watch, from the input upward, as in `named_modules`.
        module: The module, by class_path and init_args: a class or an annotated function.
        torchvision_model: Instead of `module`, the name of a model of torchvision, such as resnet18; or of timm, such
            as timm/resnet18, if it is installed.
        outputs: Number of classes of `torchvision_model`; the library's number (1,000) if None.
        weights: File of its state dict, written by `torch.save` or safetensors; `tsl.networks.weights.load_weights`
            describes its content. If None, the module keeps its own weights.
        weights_key: The key under which the file holds the state dict; not needed if the file is one.

    Raises:
        InputError: If not exactly one of `module` and `torchvision_model` is given, a layer does not exist or cannot be
            watched, inputs do not fit, or the file is missing, damaged or of another module.
    """

    def __init__(
        self,
        replicates: PositiveInt = 1,
        *,
        input_shape: list[PositiveInt],
        layers: list[str],
        module: nn.Module | None = None,
        torchvision_model: str | None = None,
        outputs: PositiveInt | None = None,
        weights: str | None = None,
        weights_key: str | None = None,
    ) -> None:
        super().__init__()
        if module is None and torchvision_model is not None:
            module = named_model(torchvision_model, f"{KEY}.torchvision_model", outputs)
        elif module is None or torchvision_model is not None:
            raise InputError(f"{KEY}: expected either module or torchvision_model")
        self.module = module
        if weights is not None and (said := load_weights(self.module, weights, f"{KEY}.weights", weights_key)):
            log.warning(said)
        self.replicates = replicates
        self.input_shape = list(input_shape)
        self.layers = layers
        self._watcher = Watcher(self.module)
        self.eval().requires_grad_(False)
        shapes = watched_shapes(self._watcher, layers, input_shape, KEY)
        self.widths, self.map_sizes, self.output_dim = shapes

    @property
    def layer_names(self) -> list[str]:
        """The names of the watched layers."""
        return self.layers

    def train(self, mode: bool = True) -> "External":
        """Stay in evaluation mode."""
        return super().train(False)

    def activations(self, inputs: Tensor) -> Activations:
        """The module's output and the watched layers', for inputs `[R, B, ...]`."""
        output, seen = self._watcher.outputs(inputs.flatten(0, 1), self.layers)
        watched = [seen[name].unflatten(0, inputs.shape[:2]) for name in self.layers]
        return Activations(watched, watched, output.unflatten(0, inputs.shape[:2]))

    def active_nodes(self) -> list[Tensor]:
        """All; see the base class."""
        return all_active(self)

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """NaN; see the base class."""
        return without_strengths(self, activations)


class WatchedShapes(NamedTuple):
    """The shapes of a module's output and watched layers, for inputs of one shape.

    Attributes:
        widths: Nodes of every watched layer.
        map_sizes: Height and width of its maps; () if its nodes are not channels.
        output_dim: Number of outputs.
    """

    widths: list[int]
    map_sizes: list[tuple[int, ...]]
    output_dim: int


@torch.no_grad()
def watched_shapes(watcher: Watcher, layers: Sequence[str], input_shape: Sequence[int], setting: str) -> WatchedShapes:
    """The shapes of a module's output and of the layers to watch, found by a pass of two inputs of zeros.

    Args:
        watcher: Watcher of the module, which is in evaluation mode.
        layers: Names of the layers.
        input_shape: Shape of an input.
        setting: Name of the module's settings in messages, such as model.init_args.teacher.init_args.

    Raises:
        InputError: If inputs do not fit, or a layer did not run, is named twice or cannot be watched.
    """
    kind = type(watcher.module).__name__
    like = next((parameter for parameter in watcher.module.parameters()), torch.empty(0))
    inputs = like.new_zeros(2, *input_shape)
    try:
        ran = {layer.name for layer in watcher.layers(inputs)}
    except Exception as error:  # another project's module may raise anything
        raise InputError(
            f"{setting}.input_shape = {list(input_shape)} does not fit {kind}: {' '.join(str(error).split())}"
        ) from error
    _check_layers(watcher.module, list(layers), ran, setting)
    output, seen = watcher.outputs(inputs, layers)
    for name, values in {**{name: seen.get(name) for name in layers}, "output": output}.items():
        axes = (2,) if name == "output" else (2, 4)
        if not isinstance(values, Tensor) or values.ndim not in axes or len(values) != 2:
            got = f"got {list(values.shape)}" if isinstance(values, Tensor) else "got none"
            raise InputError(
                f"{setting}.layers: {name} of {kind} cannot be watched: expected [B, nodes] or maps [B, C, H, W] for "
                f"B = 2, {got}"
            )
    watched = [seen[name] for name in layers]
    return WatchedShapes(
        [values.shape[1] for values in watched], [tuple(values.shape[2:]) for values in watched], output.shape[1]
    )


def _check_layers(module: nn.Module, layers: list[str], ran: set[str], setting: str) -> None:
    """Refuse layers that did not run, or are named twice.

    Raises:
        InputError: If there are such layers; the message lists those that can be watched.
    """
    calls = {name: name for name in ran}
    for name in sorted(ran):  # a plain name is the last call
        plain, _, call = name.partition("#")
        if int(call or 0) >= int(calls.get(plain, plain).partition("#")[2] or 0):
            calls[plain] = name
    missing = [name for name in layers if name not in calls]
    if missing or not layers:
        there = [name for name in missing if name in dict(module.named_modules())]
        raise InputError(
            f"{setting}.layers = {layers}: no such layers as {missing}"
            + (f" ({', '.join(there)} never ran)" if there else "")
            + f"; choose, from the input upward, among {', '.join(sorted(ran))}. An activation that is a function "
            "(F.relu) is not a module: write it as tsl.networks.watching.WatchedLayer()(F.relu(x))"
        )
    same = [calls[name] for name in layers]
    twice = [name for name, call in zip(layers, same, strict=True) if same.count(call) > 1]
    if twice:
        raise InputError(f"{setting}.layers = {layers}: {' and '.join(twice)} are the same; name each layer once")
