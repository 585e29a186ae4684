"""Spearman's rank correlation of every teacher node with every student node, over all samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from tsl.metrics.functional.activations import check_samples
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.functional.rank_correlation import rank_correlation_at
from tsl.metrics.replicated_metric import ReplicatedMetric


class RankCorrelation(ReplicatedMetric):
    """Spearman's correlation of every teacher node with every student node; tied samples get the mean of their ranks.

    It is `tsl.metrics.functional.rank_correlation` of all samples so far; see there for more. Ranks need all samples at
    once, so this metric stores every activation it is given, in float64: 8·R·N·(m + n) bytes.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns `[m, n]` or `[R, m, n]`, float64 in [−1, 1], higher is closer; it raises ValueError for fewer than
    2 samples.

    Example:
        >>> metric = RankCorrelation(teacher_nodes=1, student_nodes=2)
        >>> metric.update(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0, 2.0], [1.0, 1.0]]))
        >>> metric.update(torch.tensor([[2.0], [0.0]]), torch.tensor([[9.0, 3.0], [0.0, 0.0]]))
        >>> metric.compute()
        tensor([[1.0000, 0.6325]], dtype=torch.float64)
    """

    is_differentiable = False
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    teacher_samples: list[Tensor]
    student_samples: list[Tensor]
    resolution: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        self.add_state("teacher_samples", [], dist_reduce_fx="cat")
        self.add_state("student_samples", [], dist_reduce_fx="cat")
        self.add_state("resolution", torch.zeros((), dtype=accumulation_dtype(self.device)), dist_reduce_fx="max")

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        dtype = accumulation_dtype(teacher.device)
        # Samples are the first axis, because states are concatenated along it, within and over processes.
        self.teacher_samples.append(teacher.detach().movedim(-2, 0).to(dtype))
        self.student_samples.append(student.detach().movedim(-2, 0).to(dtype))
        self.resolution = self.resolution.clamp(min=max(torch.finfo(teacher.dtype).eps, torch.finfo(student.dtype).eps))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the samples of all processes, even if this one had none."""
        if not self.teacher_samples:
            none = torch.empty(0, *self.leading, dtype=accumulation_dtype(self.device), device=self.device)
            self.teacher_samples.append(none.unsqueeze(-1).expand(*none.shape, self.teacher_nodes))
            self.student_samples.append(none.unsqueeze(-1).expand(*none.shape, self.student_nodes))
        super().sync(*args, **kwargs)

    def compute(self) -> Tensor:
        """The correlations over all samples so far, `[..., m, n]`."""
        if not len(self.teacher_samples):
            check_samples("rank correlation", 2, 0)
        teacher, student = (
            dim_zero_cat(samples).movedim(0, -2) for samples in (self.teacher_samples, self.student_samples)
        )
        return rank_correlation_at(teacher, student, float(self.resolution))
