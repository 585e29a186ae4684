"""How much of one layer a linear function of the other explains, streaming."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tsl.metrics.functional.linear_regression_r2 import (
    Direction,
    check_direction,
    linear_regression_r2_from_moments,
)
from tsl.metrics.moment_metric import MomentMetric


class LinearRegressionR2(MomentMetric):
    """The share of one layer's variance that the best linear function of the other explains.

    R² = 1 − min over A, c of Σ‖t − A·s − c‖² / Σ‖t − t̄‖², or with t and s exchanged. The streaming form of
    `tsl.metrics.functional.linear_regression_r2`; see there for more. The result does not depend on how the samples are
    split over batches and processes. The state, float64, is R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        direction: Which layer is explained, and from which: `teacher_from_student` or `student_from_teacher`.
        kwargs: Passed to `torchmetrics.Metric`.

    Raises ValueError for an unknown direction. `compute` returns a number or `[R]`, float64 in [0, 1], higher is
    closer; it raises ValueError for fewer than 2 samples.

    Example:
        >>> import torch
        >>> metric = LinearRegressionR2(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.4857
    """

    is_differentiable = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def __init__(
        self,
        teacher_nodes: int,
        student_nodes: int,
        replicates: int | None = None,
        direction: Direction = "teacher_from_student",
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        check_direction(direction)
        self.direction: Direction = direction

    def compute(self) -> Tensor:
        """The share over all samples so far, `[...]`."""
        return linear_regression_r2_from_moments(self.all_moments(), self.direction)
