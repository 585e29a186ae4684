"""The value of a measure that is due to chance.

Compare every correlation-like measure with two null levels. One is its value for the untrained student and the same
teacher, at epoch 0: 0.2 to 0.6 for ρ_mean, because both networks have the same inputs. The other is computed here: the
trained student against the teacher's outputs on shuffled samples, where any association is due to chance.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def null_level(
    measure: Callable[[Tensor, Tensor], Value], teacher: Tensor, student: Tensor, generator: torch.Generator
) -> Value:
    """The value of a measure for the student and the teacher on shuffled samples.

    It is measure(t(π(x)), s(x)) with a random permutation π of the samples. Every node keeps its distribution and its
    relation to the nodes of its own network, but loses its relation to the nodes of the other network. (Permuting nodes
    would not give a null level, because the best correlation does not depend on their order.) The value falls with
    more samples, about as √(2 ln n / N) for ρ_mean, so compare values of the same number of samples; one batch is
    enough.

    Args:
        measure: Any measure of two activations, such as `node_correlation`, or one composed with `rho_mean`.
        teacher: `[..., samples, m]`.
        student: `[..., samples, n]`.
        generator: Generator of the permutation, which all replicates share, so that a replicate's null level is the
            same alone and among others.

    Returns:
        What `measure` returns. Cost: a copy of `teacher`, usually the narrower layer, and the cost of the measure.

    Source: our own, from no paper.

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

    For the null level of a streaming Metric, update a second Metric with the teacher's shuffled batch and the
    student's.

    Args:
        activations: `[..., samples, nodes]`.
        generator: Generator of the order.

    Returns:
        The same shape.

    Example:
        >>> shuffled_samples(torch.tensor([[1.0], [2.0], [3.0]]), torch.Generator().manual_seed(0)).T
        tensor([[3., 1., 2.]])
    """
    order = torch.randperm(activations.shape[-2], generator=generator, device=generator.device)
    return activations.index_select(-2, order.to(activations.device))
