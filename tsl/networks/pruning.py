"""Remove the nodes of a trained student that did not specialize, from the lowest hidden layer upward.

Letters: R replicates, B inputs of a batch, n student nodes of one layer. All replicates of a network share one shape,
so each keeps the same number of nodes: its own best ones, and as many as the replicate that needs most of them.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.metrics import NodeCorrelation
from tsl.networks.effective import squared_strengths
from tsl.networks.feed_forward import FeedForward
from tsl.networks.mlp import MLP, as_mlp
from tsl.networks.network import Network

Loss = Callable[[Tensor, Tensor], Tensor]  # student and teacher outputs [R, B, outputs] to [R]
Score = Literal["correlation", "strength"]
Kind = TypeVar("Kind", bound=FeedForward)


class PrunedLayer(NamedTuple):
    """What pruning did to one hidden layer (counted from 1): its nodes and the student's mean loss, `[R]` float64."""

    layer: int
    nodes_before: int
    nodes_after: int
    loss_before: Tensor
    loss_after: Tensor


@torch.no_grad()
def prune(
    student: Network,
    teacher: Network,
    batches: Iterable[Tensor],
    loss: Loss,
    *,
    by: Score = "correlation",
    threshold: float | None = None,
    max_loss_increase: float | None = None,
) -> tuple[MLP, list[PrunedLayer]]:
    """Remove the worst nodes of every layer, lowest layer first, as many as threshold and budget allow.

    Their number is found by bisection: with one more node, a replicate would lose a node that reaches the threshold, or
    exceed the budget. A layer keeps at least one node. Higher layers have only the budget that lower layers leave. A
    loss as small as that from a relative error of 16 machine epsilons in the outputs is rounding and does not count.

    Args:
        student: The trained student in evaluation mode; it is not changed.
        teacher: Its teacher, with the same number of layers.
        batches: Inputs `[R, B, d]`; they are read several times, so this cannot be an iterator.
        loss: The loss whose mean over all inputs is compared.
        by: Rank nodes by their best correlation with a teacher node of their layer, or by their strength √E β_kk (in
            the top layer, the norm of their fan-out); computed again after the layers below are pruned.
        threshold: Remove only nodes with a score below this; any node if None.
        max_loss_increase: By how much each replicate's loss may exceed that of `student`, relative to it: 0.01 is 1 %.
            No limit if None.

    Returns:
        The smaller student, and what was done to each hidden layer.

    Raises:
        InputError: If a network is not an MLP, a student with BatchNorm or dropout is in training mode, a correlation
            cannot reach the threshold, or the student's loss is not finite.
    """
    student, teacher = (as_mlp(network, "this pruning", "use tsl.prune_teacher") for network in (student, teacher))
    if student.training and (student.batch_norm or student.dropout):
        raise InputError("a student with BatchNorm or dropout is pruned in evaluation mode: call student.eval() first")
    if threshold is not None and by == "correlation" and not -1 <= threshold <= 1:
        raise InputError(f"threshold = {threshold:g}: expected a correlation, from -1 to 1")
    loss_before = mean_loss(student, teacher, batches, loss)
    if not loss_before.isfinite().all():
        raise InputError(f"the student's loss is not finite, {loss_before.tolist()}: it diverged; train it again")
    exact, epsilons = mean_loss(teacher, teacher, batches, loss), 16 * torch.finfo(student.layers[0].weight.dtype).eps
    rounding = mean_loss(lambda inputs: teacher(inputs) * (1 + epsilons), teacher, batches, loss) - exact
    # None is not replaced by an infinite budget, because infinity times a loss of 0 is NaN.
    allowed = torch.inf if max_loss_increase is None else loss_before * (1 + max_loss_increase) + rounding.abs()
    report = []
    for hidden, nodes in enumerate(student.widths):
        scores, means = node_scores(student, teacher, hidden, batches, by)
        order = scores.argsort(dim=1, descending=True, stable=True)
        needed = 0 if threshold is None else int((scores >= threshold).sum(dim=1).max())
        best, loss_after = student, loss_before
        least, most = 0, nodes - max(needed, 1)
        while least < most:
            removed = (least + most + 1) // 2
            smaller = without_nodes(student, hidden, order[:, : nodes - removed].sort(dim=1).values, means)
            its_loss = mean_loss(smaller, teacher, batches, loss)
            if (its_loss <= allowed).all():
                least, best, loss_after = removed, smaller, its_loss
            else:
                most = removed - 1
        report.append(PrunedLayer(hidden + 1, nodes, nodes - least, loss_before, loss_after))
        student, loss_before = best, loss_after
    return student, report


@torch.no_grad()
def node_scores(student: MLP, teacher: MLP, hidden: int, batches: Iterable[Tensor], by: Score) -> tuple[Tensor, Tensor]:
    """The scores of the nodes of hidden layer `hidden` (from 0), and their mean outputs, each `[R, n]` float64."""
    nodes = teacher.widths[hidden], student.widths[hidden]
    device = student.layers[0].weight.device
    correlation = NodeCorrelation(*nodes, student.replicates).to(device)
    means, strengths = torch.zeros(2, student.replicates, nodes[1], dtype=torch.float64, device=device)
    samples = 0
    for inputs in batches:
        activations = student.activations(inputs)
        post = activations.post[hidden]
        means += post.sum(dim=1, dtype=torch.float64)
        if by == "correlation":
            correlation.update(teacher.activations(inputs).post[hidden], post)
        else:
            strengths += squared_strengths(student, activations)[hidden] * inputs.shape[1]
        samples += inputs.shape[1]
    if by == "strength":
        return (strengths / samples).sqrt(), means / samples
    return correlation.compute().amax(dim=1), means / samples


def outgoing_weights(network: FeedForward, hidden: int) -> Tensor:
    """The weights that lead out of each node of hidden layer `hidden` (from 0), `[R, out, n, weights to one node]`.

    The weights to one node above are one weight from a node of an MLP, a kernel from a channel, and, to an output, one
    weight from each position of a channel.
    """
    weight = network.layers[hidden + 1].weight
    return weight.reshape(*weight.shape[:2], network.widths[hidden], -1)


@torch.no_grad()
def without_nodes(network: Kind, hidden: int, keep: Tensor, means: Tensor) -> Kind:
    """A copy of a network that has only the nodes `keep`, `[R, kept]`, in hidden layer `hidden` (from 0).

    The `means` `[R, n]` of the removed nodes are added to the biases above, if there are any, so removing constant
    nodes does not change the output.

    Raises:
        InputError: If a convolution above pads its maps, because a constant below is then not a constant bias at their
            borders.
    """
    widths = [*network.widths[:hidden], keep.shape[1], *network.widths[hidden + 1 :]]
    smaller = network.with_widths(widths).to(network.layers[0].weight).train(network.training)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lower, upper = f"layers.{hidden}", f"layers.{hidden + 1}"
    outgoing = outgoing_weights(network, hidden)
    removed = means.to(outgoing).scatter(1, keep, 0).unsqueeze(-1)  # [R, n, 1]
    if getattr(network.layers[hidden + 1], "padding", 0) and removed.any():
        raise InputError(
            f"convolution {hidden + 2} pads its maps, so a removed node's mean cannot become a constant bias: remove "
            "only nodes without outgoing weights, or train with padding 0"
        )
    if network.bias:
        state[f"{upper}.bias"] += (outgoing.sum(dim=3) @ removed).squeeze(-1)
        state[f"{lower}.bias"] = state[f"{lower}.bias"].gather(1, keep)
    shape = state[f"{upper}.weight"].shape
    outgoing = outgoing.take_along_dim(keep[:, None, :, None], 2)
    state[f"{upper}.weight"] = outgoing.reshape(*shape[:2], -1, *shape[3:])
    incoming = state[f"{lower}.weight"]
    state[f"{lower}.weight"] = incoming.take_along_dim(keep.view(*keep.shape, *[1] * (incoming.ndim - 2)), 1)
    for name in state:
        if name.startswith(f"norms.{hidden}."):
            state[name] = state[name].gather(1, keep)
    smaller.load_state_dict(state)
    return smaller


def mean_loss(student: Callable[[Tensor], Tensor], teacher: MLP, batches: Iterable[Tensor], loss: Loss) -> Tensor:
    """The mean of a loss over all inputs, `[R]` float64."""
    losses = [loss(student(inputs), teacher(inputs)).double() * inputs.shape[1] for inputs in batches]
    return torch.stack(losses).sum(dim=0) / sum(inputs.shape[1] for inputs in batches)
