"""A student that starts near its teacher."""

from collections.abc import Sequence
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tsl.errors import InputError
from tsl.networks.batch_norm import ReplicatedBatchNorm
from tsl.networks.deep_initialization import default_rows
from tsl.networks.feed_forward import FeedForward, ReplicatedLayer
from tsl.networks.initialization import MLP_ALONE, Initialization, reset_norms
from tsl.networks.mlp import as_mlp
from tsl.networks.network import Network
from tsl.networks.rows import set_rows


class PerturbedTeacher(Initialization):
    """The student as a noisy copy of its teacher, or only of the teacher's directions or signs.

    In a hidden layer of m teacher nodes, student node k copies teacher node k mod m, and the outgoing weights of the c
    copies of a node are divided by c. A student with the teacher's architecture then computes the teacher's function,
    for any widths. `keep` selects what is kept of each row of these weights (a node's incoming weights and its bias):

    - all: the row itself;
    - directions: the row's direction, at the norm of a row of `DefaultInitialization`;
    - signs: the sign of each entry (so a zero stays zero), at the magnitude of an entry of `DefaultInitialization`.

    Independent N(0, noise²) is then added to every weight and bias, also of the output layer. BatchNorm is copied
    without noise if teacher and student have it in the same place, and is otherwise reset.

    Args:
        noise: Standard deviation of the noise, in the units of the weights.
        keep: What is kept of the teacher.
    """

    def __init__(self, noise: NonNegativeFloat, keep: Literal["all", "directions", "signs"] = "all") -> None:
        self.noise = noise
        self.keep = keep

    @torch.no_grad()
    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If there is no teacher, the teacher or the student is not an MLP, the student has too few nodes,
                or it has no biases although the teacher has.
        """
        if teacher is None:
            raise InputError(
                "PerturbedTeacher is for a student and needs its teacher: set it as student_initialization"
            )
        network, teacher = as_mlp(network, *MLP_ALONE), as_mlp(teacher, *MLP_ALONE)
        if any(n < m for n, m in zip(network.widths, teacher.widths, strict=True)):
            raise InputError(
                f"PerturbedTeacher copies every teacher node: hidden layers of {network.widths} nodes cannot hold the "
                f"teacher's {teacher.widths}; give the student more nodes (model.init_args.student)"
            )
        if teacher.bias and not network.bias:
            raise InputError("PerturbedTeacher copies the teacher's biases: give the student bias: true as well")
        above = [*network.widths, network.output_dim]
        below = [network.input_dim, *network.widths]
        for layer, source, nodes, inputs in zip(network.layers, teacher.layers, above, below, strict=True):
            rows = copied_rows(source, nodes, inputs)[..., : inputs + network.bias]
            if self.keep != "all":
                default = default_rows(nodes, inputs, generators)[..., : inputs + network.bias]
                if self.keep == "directions":
                    rows = normalize(rows, dim=-1) * default.norm(dim=-1, keepdim=True)
                else:
                    rows = rows.sign() * default.abs()
            shape = rows.shape[1:]
            noise = [torch.randn(shape, generator=g, dtype=torch.float64, device="cpu") for g in generators]
            set_rows(layer, rows + self.noise * torch.stack(noise))
        reset_norms(network)
        if network.batch_norm == teacher.batch_norm:
            for norm, source_norm in zip(network.norms, teacher.norms, strict=True):
                copy_norm(norm, source_norm)


def copied_rows(layer: ReplicatedLayer, nodes: int, inputs: int) -> Tensor:
    """A layer's rows for `nodes` copies of its nodes on `inputs` copies of its inputs.

    `[R, nodes, inputs + 1]` float64; the bias is the last column, 0 where the layer has none.
    """
    weight = layer.weight.double().cpu()
    bias = weight.new_zeros(weight.shape[:2]) if layer.bias is None else layer.bias.double().cpu()
    _, m, below = weight.shape
    node, source = torch.arange(nodes, device="cpu") % m, torch.arange(inputs, device="cpu") % below
    weight = (weight / source.bincount())[:, :, source]
    return torch.cat([weight, bias.unsqueeze(-1)], dim=-1)[:, node]


def copy_norm(norm: ReplicatedBatchNorm, source: ReplicatedBatchNorm) -> None:
    """Copy a BatchNorm's values: node k gets those of node k mod m."""
    own = dict(norm.state_dict())
    for name, values in source.state_dict().items():
        if name in own:
            own[name].copy_(values[:, torch.arange(own[name].shape[1], device=values.device) % values.shape[1]])
