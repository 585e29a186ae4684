"""A student from another project: any torch module, with the names of the layers to watch.

Letters: R replicates, B inputs.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from jsonargparse.typing import PositiveInt
from torch import Generator, Tensor, nn

from tsl.errors import InputError
from tsl.networks.elsewhere import named_model
from tsl.networks.external import watched_shapes
from tsl.networks.network import Activations, TrainableNetwork, all_active, without_strengths
from tsl.networks.watching import Watcher
from tsl.networks.weights import load_weights

KEY = "model.init_args.student.init_args"

log = logging.getLogger(__name__)


class ExternalStudent(TrainableNetwork):
    """R copies of any torch module, each trained on inputs of its own.

    The copies run one after the other, so a module may contain anything that torch can train, including BatchNorm and
    dropout; R copies take R times as long as one. Watched layers are as for `tsl.networks.External`; strengths and g_1
    are NaN. Each copy is initialized by the module itself, with the seed of its replicate, or all copies by a file of
    weights. `model.init_args.student_initialization` must therefore be null.

    Args:
        replicates: Number R of copies.
        input_shape: Shape of an input, such as [3, 64, 64].
        layers: Names of the modules to watch, from the input upward, one for each watched layer of the teacher.
        module: Makes the module, by class_path and init_args: a class or an annotated function.
        torchvision_model: Instead of `module`, the name of a model of torchvision, such as resnet18; or of timm, such
            as timm/resnet18, if it is installed.
        outputs: Number of classes of `torchvision_model`; the library's number (1,000) if None.
        weights: File of the weights that all copies start from, as for `tsl.networks.External`.
        weights_key: The key under which the file holds them; not needed if the file is a state dict.

    Raises:
        InputError: As for `tsl.networks.External`.
    """

    def __init__(
        self,
        replicates: PositiveInt = 1,
        *,
        input_shape: list[PositiveInt],
        layers: list[str],
        module: Callable[[], nn.Module] | None = None,
        torchvision_model: str | None = None,
        outputs: PositiveInt | None = None,
        weights: str | None = None,
        weights_key: str | None = None,
    ) -> None:
        super().__init__()
        if (module is None) == (torchvision_model is None):
            raise InputError(f"{KEY}: expected either module or torchvision_model")
        if isinstance(module, nn.Module):  # jsonargparse calls a function that has init_args
            raise InputError(
                f"{KEY}.module is one {type(module).__name__}, but each replicate needs its own: name a class with "
                "init_args, a function without, or torchvision_model with outputs"
            )
        self._make_module = module or (lambda: named_model(str(torchvision_model), f"{KEY}.torchvision_model", outputs))
        self.copies = nn.ModuleList(self._make_module() for _ in range(replicates))
        self._starts_from_file = weights is not None
        if weights is not None:
            said = {load_weights(copy, weights, f"{KEY}.weights", weights_key) for copy in self.copies}
            for note in filter(None, said):
                log.warning(note)
        self.replicates = replicates
        self.input_shape = list(input_shape)
        self.layers = layers
        self._watchers = [Watcher(copy) for copy in self.copies]
        self.eval()
        shapes = watched_shapes(self._watchers[0], layers, input_shape, KEY)
        self.widths, self.map_sizes, self.output_dim = shapes
        self.train()
        self.batch_norm = any(isinstance(inner, nn.modules.batchnorm._BatchNorm) for inner in self.modules())
        self.is_random = True  # it may be: any module can draw from torch's own generator
        self._seeds: list[int] | None = None
        self._compiled = False

    @property
    def layer_names(self) -> list[str]:
        """The names of the watched layers."""
        return self.layers

    def draw(self, generators: Sequence[Generator]) -> None:
        """Initialize every copy as the module does itself, with its generator's seed; a file's weights stay."""
        if self._starts_from_file:
            return
        for copy, generator in zip(self.copies, generators, strict=True):
            with torch.random.fork_rng():
                torch.manual_seed(generator.initial_seed())
                copy.load_state_dict(self._make_module().state_dict())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile every copy; passes in which layers are watched are not compiled."""
        self._compiled = True
        for copy in self.copies:
            copy.compile(*args, **kwargs)

    def seed_dropout(self, generators: Sequence[Generator]) -> None:
        """Seed the random numbers of a module's next training pass; see the base class."""
        self._seeds = [generator.initial_seed() for generator in generators]

    def forward(self, inputs: Tensor) -> Tensor:
        """The output `[R, B, outputs]` for inputs `[R, B, ...]`."""
        runs = [partial(copy, of_one.clone()) for copy, of_one in zip(self.copies, inputs, strict=True)]
        return torch.stack([self._run(replicate, run) for replicate, run in enumerate(runs)])

    def activations(self, inputs: Tensor) -> Activations:
        """The modules' output and the watched layers', for inputs `[R, B, ...]`."""
        eager = torch.compiler.set_stance("force_eager") if self._compiled else nullcontext()
        with eager:  # compiled code has no hooks
            runs = [
                partial(watcher.outputs, of_one, self.layers)
                for watcher, of_one in zip(self._watchers, inputs, strict=True)
            ]
            passes = [self._run(replicate, run) for replicate, run in enumerate(runs)]
        watched = [torch.stack([seen[name] for _, seen in passes]) for name in self.layers]
        return Activations(watched, watched, torch.stack([output for output, _ in passes]))

    def _run(self, replicate: int, run: Callable[[], Any]) -> Any:
        """Run a copy; in training, torch's generators are seeded for step and replicate, and restored afterwards."""
        if not self.training or self._seeds is None:
            return run()
        with torch.random.fork_rng():
            torch.manual_seed(self._seeds[replicate])
            return run()

    def errors(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Without a pass that watches layers; see the base class."""
        output = self(inputs)
        return output, targets - output, output.new_full((self.replicates, 1), torch.nan)

    def lowest_error(self, activations: Activations, error: Tensor) -> Tensor:
        """NaN; see the base class."""
        return error.new_full((self.replicates, 1), torch.nan)

    def active_nodes(self) -> list[Tensor]:
        """All; see the base class."""
        return all_active(self)

    def squared_strengths(self, activations: Activations, probes: Generator) -> list[Tensor]:
        """NaN; see the base class."""
        return without_strengths(self, activations)
