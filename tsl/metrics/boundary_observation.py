"""Which student nodes are active on both sides of a teacher node's hyperplane, streaming."""

from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.boundary_observation import activity_counts, boundary_observation_from_counts
from tsl.metrics.replicated_metric import ReplicatedMetric


class BoundaryObservation(ReplicatedMetric):
    """Boundary observation O_jk = min(#{t_j > 0, s_k > 0}, #{t_j ≤ 0, s_k > 0}).

    The streaming form of `tsl.metrics.functional.boundary_observation`; see there for more. The state is R·(m·n + n)
    exact integer counts, so the result does not depend on how the samples are split over batches and processes.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns `[m, n]` or `[R, m, n]`, int64, from 0 to half the number of samples; higher is better observed.
    Whole numbers cannot be NaN, so a node counts as inactive on samples where it is NaN. Source: the paper's
    definition of observation (Tian, ICML 2020).

    Example:
        >>> metric = BoundaryObservation(teacher_nodes=1, student_nodes=2)
        >>> metric.update(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        >>> metric.update(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        >>> metric.compute()
        tensor([[1, 0]])
    """

    is_differentiable = False
    plot_lower_bound = 0.0

    both_active: Tensor
    student_active: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        both = torch.zeros(*self.leading, teacher_nodes, student_nodes, dtype=torch.int64)
        active = torch.zeros(*self.leading, student_nodes, dtype=torch.int64)
        self.add_state("both_active", both, dist_reduce_fx="sum")
        self.add_state("student_active", active, dist_reduce_fx="sum")

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Outputs `[samples, m]`, or `[R, samples, m]`.
            student: Outputs `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        both, active = activity_counts(teacher, student)
        self.both_active = self.both_active + both
        self.student_active = self.student_active + active

    def compute(self) -> Tensor:
        """The observations over all samples so far, `[..., m, n]`."""
        return boundary_observation_from_counts(self.both_active, self.student_active)
