"""Cosine of every teacher node's activations with every student node's, streaming."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.cosine_correlation import cosine_correlation_from_sums, cosine_sums
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.replicated_metric import ReplicatedMetric


class CosineCorrelation(ReplicatedMetric):
    """Cosine of every teacher node with every student node; 0 if either is 0 on every sample.

    cos_jk = Σ t_j s_k / √(Σ t_j² · Σ s_k²). The streaming form of `tsl.metrics.functional.cosine_correlation`; see
    there for more. The result does not depend on how the samples are split over batches and processes. The state is
    R·(m·n + m + n) numbers in float64.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns `[m, n]` or `[R, m, n]`, float64 in [−1, 1], higher is closer.

    Example:
        >>> metric = CosineCorrelation(teacher_nodes=1, student_nodes=2)
        >>> metric.update(torch.tensor([[3.0]]), torch.tensor([[4.0, 0.0]]))
        >>> metric.update(torch.tensor([[4.0]]), torch.tensor([[3.0, 0.0]]))
        >>> metric.compute()
        tensor([[0.9600, 0.0000]], dtype=torch.float64)
    """

    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    teacher_squares: Tensor
    student_squares: Tensor
    products: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        dtype = accumulation_dtype(self.device)
        for name, nodes in (
            ("teacher_squares", (teacher_nodes,)),
            ("student_squares", (student_nodes,)),
            ("products", (teacher_nodes, student_nodes)),
        ):
            self.add_state(name, torch.zeros(*self.leading, *nodes, dtype=dtype), dist_reduce_fx="sum")

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        squares_t, squares_s, products = cosine_sums(teacher, student)
        self.teacher_squares = self.teacher_squares + squares_t
        self.student_squares = self.student_squares + squares_s
        self.products = self.products + products

    def compute(self) -> Tensor:
        """The cosines over all samples so far, `[..., m, n]`."""
        return cosine_correlation_from_sums(self.teacher_squares, self.student_squares, self.products)
