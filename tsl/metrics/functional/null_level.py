"""The value of a measure that is due to chance.

Two nulls belong beside every correlation-like measure. One is the untrained student against the same teacher: the
measure's value at epoch 0, 0.2 to 0.6 for ρ_mean, as both networks see the same inputs. The other is here: the trained
student against the teacher's outputs on shuffled samples, so that any association left is chance.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def null_level(
    measure: Callable[[Tensor, Tensor], Value], teacher: Tensor, student: Tensor, generator: torch.Generator
) -> Value:
    """A measure of the teacher on shuffled samples against the student.

    measure(t(π(x)), s(x)) with π a random permutation of the samples: every node keeps its distribution and its
    relation to the nodes of its own network, and loses that to the other's. (Permuting nodes would be no null: the best
    correlation is indifferent to their order.) The value falls with more samples, about √(2 ln n / N) for ρ_mean, so
    compare at the same number; one batch is enough.

    Args:
        measure: Any measure of two activations, such as `node_correlation`, or one composed with `rho_mean`.
        teacher: `[..., samples, m]`.
        student: `[..., samples, n]`.
        generator: Where the permutation comes from; all replicates share it, so that a replicate's null level is the
            same alone and among others.

    Returns:
        What `measure` returns. Cost: a copy of `teacher`, the narrower layer, and the measure.

    Source: our own; no paper.

    Example:
        >>> from tsl.metrics.functional import node_correlation, rho_mean
        >>> nodes = torch.linspace(0, 1, 100).unsqueeze(-1) ** torch.tensor([1.0, 2.0])
        >>> rho = lambda teacher, student: rho_mean(node_correlation(teacher, student))
        >>> level = null_level(rho, nodes, nodes, torch.Generator().manual_seed(0))
        >>> round(rho(nodes, nodes).item(), 3), round(level.item(), 3)
        (1.0, -0.085)
    """
    return measure(shuffled_samples(teacher, generator), student)


def shuffled_samples(activations: Tensor, generator: torch.Generator) -> Tensor:
    """Activations with their samples in random order, the same for all nodes and replicates.

    A Metric's null level streams: update a second one with the teacher's shuffled batch and the student's.

    Args:
        activations: `[..., samples, nodes]`.
        generator: Where the order comes from.

    Returns:
        The same shape.

    Example:
        >>> shuffled_samples(torch.tensor([[1.0], [2.0], [3.0]]), torch.Generator().manual_seed(0)).T
        tensor([[3., 1., 2.]])
    """
    order = torch.randperm(activations.shape[-2], generator=generator, device=generator.device)
    return activations.index_select(-2, order.to(activations.device))
