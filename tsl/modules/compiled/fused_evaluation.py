"""The losses of an evaluation, and sums of node activations, in one compiled call for each replicate.

Letters: R replicates, B inputs, m teacher nodes, n student nodes.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional.cross_moments import CrossMoments, recentred
from tsl.modules.compiled.evaluation import Sums, evaluate
from tsl.modules.compiled.from_torch import (
    for_each_replicate,
    of_replicate,
    settings_of,
    weights_and_biases,
    widths_of,
)
from tsl.networks import MLP, Activations

SIGN_KEEPING = ("relu", "erf", "tanh", "linear")
"""Activation functions that are positive exactly where the pre-activation is."""


class Losses(NamedTuple):
    """The losses of a batch, each `[R]` float64.

    Attributes:
        loss: The objective.
        mean_square: (f − f°)², averaged over inputs and outputs.
        gradient_sup_norm: max |g_1| over inputs and nodes; see `FeedForward.lowest_error`.
    """

    loss: Tensor
    mean_square: Tensor
    gradient_sup_norm: Tensor


class NodeSums(NamedTuple):
    """Sums over a batch of B inputs, for networks with one hidden layer.

    Attributes:
        moments: Moments of the teacher's nodes `[R, 2m]` (the second m with the inputs in another order) and the
            student's nodes `[R, n]`; each network's own scatter matrix is a diagonal.
        both_active: Number of inputs on which both nodes are active, `[R, m, n]` int64.
        student_active: Number of inputs on which the student's node is active, `[R, n]` int64.
        student_strength: E β_kk = ‖v_k‖², `[R, n]`.
    """

    moments: CrossMoments
    both_active: Tensor
    student_active: Tensor
    student_strength: Tensor


class FusedEvaluation:
    """Evaluates R MLPs, whose weights must not change meanwhile.

    Args:
        network: The networks; their mode and dropout are ignored.
        loss: One of `tsl.modules.losses`.
    """

    @torch.no_grad()
    def __init__(self, network: MLP, loss: Any) -> None:
        self.network = network
        self.loss = loss
        self.widths = widths_of(network)
        self.parameters = weights_and_biases(network)

    @property
    def sums_nodes(self) -> bool:
        """Whether `NodeSums` can be computed for these networks."""
        return len(self.network.widths) == 1 and self.network.activation.name in SIGN_KEEPING

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, teacher: Activations, order: Tensor | None = None
    ) -> tuple[Losses, NodeSums | None]:
        """Evaluate a batch.

        Args:
            inputs: `[R, B, ...]`.
            teacher: The teacher's activations, with its one hidden layer if `order` is given.
            order: The other order of the inputs, `[B]`, to compute sums of the nodes; None for losses only.
        """
        replicates, batch = inputs.shape[:2]
        settings = settings_of(self.network, self.loss, batch)
        losses = torch.empty(replicates, 3, dtype=torch.float64)
        nothing = inputs.new_empty(replicates, 0, 0)
        pre, post = (nothing, nothing) if order is None else (teacher.pre[0], teacher.post[0])
        sums = self._room(replicates, post.shape[2], inputs.dtype)
        tensors = *self.parameters, inputs.flatten(2), teacher.output, losses
        call: Any = evaluate  # numba declares functions without arguments
        rows = (torch.arange(0) if order is None else order).numpy()

        def work(r: int) -> None:
            of_teacher, of_sums = of_replicate((pre, post), r), Sums(*of_replicate(sums, r))
            W, b, x, targets, of_losses = of_replicate(tensors, r)
            nodes = order is not None
            call(settings, self.widths, W, b, x, targets, of_losses, nodes, *of_teacher, rows, of_sums)

        for_each_replicate(work, replicates)
        objective, squares, sup_norm = losses.unbind(dim=1)
        of_batch = Losses(objective, squares / teacher.output[0].numel(), sup_norm)
        return of_batch, None if order is None else self._node_sums(sums, batch)

    def _room(self, replicates: int, m: int, dtype: torch.dtype) -> list[Tensor]:
        n = self.network.widths[0]
        shifts = [torch.zeros(replicates, nodes, dtype=dtype) for nodes in (2 * m, n)]
        shapes = (2 * m,), (n,), (2 * m,), (n,), (2 * m, n), (m + 1, n)
        return [*shifts, *(torch.zeros(replicates, *shape, dtype=torch.float64) for shape in shapes)]

    def _node_sums(self, sums: list[Tensor], batch: int) -> NodeSums:
        shift_t, shift_s, t, s, tt, ss, ts, active = sums
        moments = CrossMoments(
            t.new_tensor(batch),
            t.new_tensor(torch.finfo(shift_t.dtype).eps),
            *recentred(batch, shift_t.double(), shift_s.double(), [t, s, tt, ss, ts], full=False),
        )
        counts = active.long()
        strength = self.network.layers[-1].weight.double().square().sum(dim=1)
        return NodeSums(moments, counts[:, :-1], counts[:, -1], strength)
