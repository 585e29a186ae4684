"""How many of the student's nodes never change, streaming."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_samples
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.replicated_metric import ReplicatedMetric


class DeadNodeFraction(ReplicatedMetric):
    """The fraction of student nodes whose output is the same on every sample: for ReLU nodes, those never active.

    #{k: max_x s_k = min_x s_k} / n. The streaming form of `tsl.metrics.functional.dead_node_fraction`. The result does
    not depend on how the samples are split over batches and processes. The state is 2·R·n numbers. `update` takes the
    teacher's activations only to fit into a `MetricCollection`; exchange the two to get the teacher's dead nodes.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float32 in [0, 1], lower is better; it raises ValueError before there are
    samples.

    Example:
        >>> metric = DeadNodeFraction(teacher_nodes=1, student_nodes=2)
        >>> metric.update(torch.tensor([[3.0], [1.0]]), torch.tensor([[0.0, 2.0], [0.0, 2.0]]))
        >>> metric.update(torch.tensor([[4.0]]), torch.tensor([[0.0, 3.0]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    is_differentiable = False
    higher_is_better = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    least: Tensor
    greatest: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        infinite = torch.full((*self.leading, student_nodes), torch.inf, dtype=accumulation_dtype(self.device))
        self.add_state("least", infinite, dist_reduce_fx="min")
        self.add_state("greatest", -infinite, dist_reduce_fx="max")

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        if student.shape[-2]:
            self.least = torch.minimum(self.least, student.amin(dim=-2))
            self.greatest = torch.maximum(self.greatest, student.amax(dim=-2))

    def compute(self) -> Tensor:
        """The fraction over all samples so far, `[...]`."""
        check_samples("dead-node fraction", 1, int((self.least != torch.inf).any()))
        undefined = 0 * (self.least + self.greatest).sum(dim=-1)
        return (self.least == self.greatest).float().mean(dim=-1) + undefined.float()
