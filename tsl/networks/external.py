"""A teacher from another project: any torch module, with the names of the layers to watch.

Letters: R replicates, B inputs.
"""

import torch
from jsonargparse.typing import PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.elsewhere import named_model
from tsl.networks.network import Activations, Network
from tsl.networks.watching import Watcher
from tsl.networks.weights import load_weights

KEY = "model.init_args.teacher.init_args"


class External(Network):
    """One trained module as the teacher of all R replicates: they are folded into its batch.

    It is frozen and always in evaluation mode, and gets a copy of the inputs, so that one that changes them in place
    does not change the student's. A watched layer is what one of its modules puts out, maps `[B, C, H, W]` or nodes
    `[B, nodes]`, before an activation in place overwrites it. Of a module that is called several times, such as the
    ReLU of a ResNet's block, `relu#1` is the first call, and plain `relu` the last. Pre- and post-activations are both
    that output, so watch activations, not what comes before them: the sign of a ReLU's output shows that of its
    input. Strengths are NaN, and no node counts as pruned. Its student needs an architecture of its own,
    `model.init_args.student`.

    Args:
        replicates: Number R of replicates that share it.
        input_shape: Shape of an input, such as [3, 32, 32].
        layers: Names of the modules to watch, from the input upward, as `named_modules` gives them.
        module: The module, by class_path and init_args: a class or an annotated function.
        torchvision_model: The name of a model of torchvision instead, such as resnet18; or of timm, such as
            timm/resnet18, if it is installed.
        weights: File of its state dict, of `torch.save` or of safetensors; see `tsl.networks.weights.load_weights` for
            what may be in it. As the module comes if None.
        weights_key: The key under which the file holds the state dict; not needed if the file is one.

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
        weights_key: str | None = None,
    ) -> None:
        super().__init__()
        if module is None and torchvision_model is not None:
            module = named_model(torchvision_model, f"{KEY}.torchvision_model")
        elif module is None or torchvision_model is not None:
            raise InputError(f"{KEY}: give module or torchvision_model, not both")
        self.module = module
        if weights is not None:
            load_weights(self.module, weights, f"{KEY}.weights", weights_key)
        self.replicates = replicates
        self.input_shape = list(input_shape)
        self.layers = layers
        self._watcher = Watcher(self.module)
        self.eval().requires_grad_(False)
        self._try()

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
        device = next(self.parameters(), torch.empty(0)).device
        return [torch.ones(self.replicates, width, dtype=torch.bool, device=device) for width in self.widths]

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """NaN; see the base class."""
        return [post.new_full((self.replicates, post.shape[2]), torch.nan) for post in activations.post]

    @torch.no_grad()
    def _try(self) -> None:
        """Find the layers' shapes, and check that inputs fit."""
        like = next((parameter for parameter in self.parameters()), torch.empty(0))
        inputs = like.new_zeros(2, *self.input_shape)
        try:
            ran = {layer.name for layer in self._watcher.layers(inputs)}
        except Exception as error:  # another project's module may raise anything
            raise InputError(
                f"{KEY}.input_shape = {self.input_shape} does not fit {type(self.module).__name__}: "
                f"{' '.join(str(error).split())}"
            ) from error
        self._check_layers(ran)
        output, seen = self._watcher.outputs(inputs, self.layers)
        for name, values in {**{name: seen.get(name) for name in self.layers}, "output": output}.items():
            axes = (2,) if name == "output" else (2, 4)
            if not isinstance(values, Tensor) or values.ndim not in axes or len(values) != 2:
                got = f"got {list(values.shape)}" if isinstance(values, Tensor) else "got none"
                raise InputError(
                    f"{KEY}.layers: {name} of {type(self.module).__name__} cannot be watched: expected [B, nodes] or "
                    f"maps [B, C, H, W] for B = 2, {got}"
                )
        watched = [seen[name] for name in self.layers]
        self.widths = [values.shape[1] for values in watched]
        self.map_sizes = [tuple(values.shape[2:]) for values in watched]
        self.output_dim = output.shape[1]

    def _check_layers(self, ran: set[str]) -> None:
        """Refuse layers that did not run, or are named twice.

        Raises:
            InputError: Naming those that can be watched.
        """
        calls = {name: name for name in ran}
        for name in sorted(ran):  # a plain name is the last call
            plain, _, call = name.partition("#")
            if int(call or 0) >= int(calls.get(plain, plain).partition("#")[2] or 0):
                calls[plain] = name
        missing = [name for name in self.layers if name not in calls]
        if missing or not self.layers:
            there = [name for name in missing if name in dict(self.module.named_modules())]
            raise InputError(
                f"{KEY}.layers = {self.layers}: no such layers as {missing}"
                + (f" ({', '.join(there)} never ran)" if there else "")
                + f"; choose, from the input upward, among {', '.join(sorted(ran))}. An activation that is a function "
                "(F.relu) is no module: give it as tsl.networks.watching.WatchedLayer()(F.relu(x))"
            )
        same = [calls[name] for name in self.layers]
        twice = [name for name, call in zip(self.layers, same, strict=True) if same.count(call) > 1]
        if twice:
            raise InputError(f"{KEY}.layers = {self.layers}: {' and '.join(twice)} are the same; name each layer once")
