"""Linear centred kernel alignment without the bias of few samples, streaming."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.cross_moments import CrossMoments
from tsl.metrics.functional.debiased_linear_cka import (
    NormMoments,
    debiased_linear_cka_from_moments,
    merge_norms,
    norm_moments,
)
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.moment_metric import Layout, moment_shapes
from tsl.metrics.replicated_metric import ReplicatedMetric


class DebiasedLinearCKA(ReplicatedMetric):
    """Linear centred kernel alignment by the unbiased estimate of HSIC: 0 on average for unrelated layers.

    The streaming form of `tsl.metrics.functional.debiased_linear_cka`; see there for more. The result does not depend
    on how the samples are split over batches and processes: it is not an average over minibatches. The state, float64,
    is R·(m² + n² + m·n + 3m + 3n + 3) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [−1, 1], higher is closer; it raises ValueError for fewer than 4
    samples.

    Example:
        >>> metric = DebiasedLinearCKA(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.7559
    """

    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    norm_moments: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        lead = self.leading
        m, n = (*lead, teacher_nodes), (*lead, student_nodes)
        self.layout = Layout(
            [*moment_shapes(lead, teacher_nodes, student_nodes, full=True), lead, lead, lead, m, m, n, n]
        )
        zeros = torch.zeros(self.layout.size, dtype=accumulation_dtype(self.device))
        self.add_state("norm_moments", zeros, dist_reduce_fx=partial(_merge, self.layout))

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        merged = merge_norms(_unpack(self.layout, self.norm_moments), norm_moments(teacher, student))
        self.norm_moments = self.layout.pack([*merged[0], *merged[1]])

    def compute(self) -> Tensor:
        """The alignment over all samples so far, `[...]`."""
        return debiased_linear_cka_from_moments(*_unpack(self.layout, self.norm_moments))


def _unpack(layout: Layout, vector: Tensor) -> tuple[CrossMoments, NormMoments]:
    parts = layout.unpack(vector)
    split = len(CrossMoments._fields)
    return CrossMoments(*parts[:split]), NormMoments(*parts[split:])


def _merge(layout: Layout, vectors: Tensor) -> Tensor:
    """Merge a stack of vectors, one for each process or batch, into one."""
    first, *rest = (_unpack(layout, vector) for vector in vectors)
    for part in rest:
        first = merge_norms(first, part)
    return layout.pack([*first[0], *first[1]])
