"""Initial weights of teacher and student: classes that a config chooses by `class_path`.

Every replicate is drawn from its own generator in float64 and then rounded to the network's precision, so that a
replicate is the same network alone, among others, and in either precision.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat
from torch import Generator, Tensor

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward
from tsl.networks.mlp import as_mlp
from tsl.networks.network import Network
from tsl.replicates import PerReplicate, per_replicate
from tsl.tensor_files import read_tensors

POLARITY = "model.init_args.teacher_initialization.init_args.polarity"
STD = "model.init_args.student_initialization.init_args.std"
MLP_ALONE = (
    "this way to start (model.init_args.teacher_initialization or student_initialization)",
    "choose tsl.networks.DefaultInitialization, GaussianInitialization or FromFile",
)
SEPARABLE_VALUES = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


class Initialization(ABC):
    """Fills the parameters of a network in place.

    The initializations of tsl start BatchNorm with scale 1, shift 0 and no statistics, unless documented otherwise.
    """

    @abstractmethod
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`.

        Args:
            network: The network to fill.
            generators: One generator for each replicate of `network`.
            teacher: The initialized teacher, if `network` is its student.
        """


class SeparableInitialization(Initialization):
    """The paper's teacher: separable weights, unit-norm nodes, and fan-out strengths that decay.

    Every weight vector (of a node in a hidden layer; the fan-out of a node of the top hidden layer) is drawn uniformly
    from {−1, −.75, …, .75, 1}ᵈ, no two of one layer in the same direction and none zero. The weight vectors of hidden
    nodes are scaled to unit norm, and the fan-out of node j of the top hidden layer is divided by jᵖ. All biases are
    constant. (As in the paper's released two-layer experiments.)

    Args:
        polarity: The exponent p, or a list of them that repeats along the replicates.
        bias: Value of every bias.
    """

    def __init__(self, polarity: PerReplicate[NonNegativeFloat] = 0.0, bias: float = -0.1) -> None:
        self.polarity = polarity
        self.bias = bias

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If the network is no MLP.
        """
        network = as_mlp(network, *MLP_ALONE)
        polarity = torch.tensor(per_replicate(self.polarity, len(generators), POLARITY), dtype=torch.float64)
        for layer in network.layers:
            _, out_features, in_features = layer.weight.shape
            if layer is network.layers[-1]:
                fan_out = torch.stack([separable_rows(in_features, out_features, g) for g in generators])
                node = torch.arange(1, in_features + 1, dtype=torch.float64, device="cpu")
                layer.weight.copy_((fan_out * node[:, None] ** -polarity[:, None, None]).mT)
            else:
                rows = torch.stack([separable_rows(out_features, in_features, g) for g in generators])
                layer.weight.copy_(rows / rows.norm(dim=-1, keepdim=True))
            if layer.bias is not None:
                layer.bias.fill_(self.bias)
        reset_norms(network)


class GaussianInitialization(Initialization):
    """Independent N(0, std²) weights and zero biases: the paper's two-layer student at std 0.005.

    Args:
        std: Standard deviation of every weight, or a list of them that repeats along the replicates.
    """

    def __init__(self, std: PerReplicate[PositiveFloat] = 0.005) -> None:
        self.std = std

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class."""
        std = torch.tensor(per_replicate(self.std, len(generators), STD), dtype=torch.float64)
        for layer in network.layers:
            shape = layer.weight.shape[1:]
            normal = [torch.randn(shape, generator=g, dtype=torch.float64, device="cpu") for g in generators]
            layer.weight.copy_(torch.stack(normal) * std.reshape(-1, *[1] * len(shape)))
            if layer.bias is not None:
                layer.bias.zero_()
        reset_norms(network)


class AdversarialInitialization(Initialization):
    """Initial weights that help or hinder learning of the weakest teacher node, whose fan-out has the smallest norm.

    After `base`, every lowest-layer weight vector w of the student is moved to w ± strength · ‖w‖ · u, where u is the
    unit weight vector of the teacher's weakest node in the lowest layer.

    Args:
        base: The initialization to start from.
        direction: Whether student nodes are pushed away from that teacher node or towards it.
        strength: Length of the move in units of each student node's own norm.
    """

    def __init__(
        self,
        base: Initialization,
        direction: Literal["away", "towards"] = "away",
        strength: PositiveFloat = 1.0,
    ) -> None:
        self.base = base
        self.direction = direction
        self.strength = strength

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If there is no teacher, or teacher or student is not an MLP.
        """
        if teacher is None:
            raise InputError(
                "AdversarialInitialization is for a student and needs its teacher: set it as student_initialization"
            )
        network, teacher = as_mlp(network, *MLP_ALONE), as_mlp(teacher, *MLP_ALONE)
        self.base(network, generators, teacher)
        weakest = teacher.layers[1].weight.norm(dim=1).argmin(dim=-1)  # [R]
        target = teacher.layers[0].weight[torch.arange(len(weakest)), weakest]  # [R, d]
        target = target / target.norm(dim=-1, keepdim=True)
        weight = network.layers[0].weight
        push = self.strength if self.direction == "towards" else -self.strength
        weight.add_(push * weight.norm(dim=-1, keepdim=True) * target[:, None, :])


class FromFile(Initialization):
    """Weights from a file, such as the smaller student that `tsl.prune_student` writes.

    Args:
        path: File written by `torch.save(network.state_dict(), path)` for a network of the same shape and replicates.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If the file is missing, damaged, or of another network.
        """
        if not Path(self.path).is_file():
            raise InputError(f"tsl.networks.FromFile: {self.path}: no such file")
        weights = read_tensors(self.path, f"tsl.networks.FromFile: {self.path}")
        try:
            network.load_state_dict(weights)
        except (RuntimeError, TypeError) as error:
            raise InputError(
                f"tsl.networks.FromFile: {self.path} holds another network; set replicates and widths to those of the "
                f"file: {' '.join(str(error).split())}"
            ) from error


def separable_rows(rows: int, dim: int, generator: Generator) -> Tensor:
    """Rows drawn uniformly from {−1, −.75, …, 1}ᵈ, none zero and no two in the same direction, `[rows, dim]` float64.

    Raises:
        InputError: If there are not that many rows in `dim` dimensions, or they were not found.
    """
    values = torch.tensor(SEPARABLE_VALUES, dtype=torch.float64, device="cpu")
    drawn = torch.zeros(rows, dim, dtype=torch.float64, device="cpu")
    redraw = torch.ones(rows, dtype=torch.bool, device="cpu")
    for _ in range(1000):
        index = torch.randint(len(values), (int(redraw.sum()), dim), generator=generator, device="cpu")
        drawn[redraw] = values[index]
        unit = torch.nn.functional.normalize(drawn, dim=-1)
        parallel_to_earlier = (unit @ unit.mT).tril(diagonal=-1).amax(dim=-1) > 1 - 1e-9
        redraw = parallel_to_earlier | (unit == 0).all(dim=-1)
        if not redraw.any():
            return drawn
    raise InputError(
        f"no {rows} separable weight vectors found in {dim} dimensions: use fewer nodes in that layer, or a larger "
        "input_dim or layer before it (model.init_args.teacher.init_args.widths, input_dim)"
    )


def reset_norms(network: FeedForward) -> None:
    """Reset every BatchNorm of a network."""
    for norm in network.norms:
        norm.reset()
