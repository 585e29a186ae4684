"""Metrics that are functions of means and centred second moments, which stream exactly."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional.cross_moments import CrossMoments, cross_moments, merge
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.replicated_metric import ReplicatedMetric


class MomentLayout(NamedTuple):
    """How `CrossMoments` lie in one vector, so that a metric has one state to keep, reduce and gather.

    Attributes:
        leading: The leading axes, `(R,)` or none.
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        full: Whether the scatter matrices are whole, or only their diagonals.
    """

    leading: tuple[int, ...]
    teacher_nodes: int
    student_nodes: int
    full: bool

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each moment, in order."""
        m, n = (self.teacher_nodes,), (self.student_nodes,)
        lead = self.leading
        scatter = [(*lead, *m, *m), (*lead, *n, *n)] if self.full else [(*lead, *m), (*lead, *n)]
        return [(), (), (*lead, *m), (*lead, *n), *scatter, (*lead, *m, *n)]

    @property
    def sizes(self) -> list[int]:
        """The number of elements of each moment, in order."""
        return [torch.Size(shape).numel() for shape in self.shapes]

    def pack(self, moments: CrossMoments) -> Tensor:
        """Lay the moments out as one vector."""
        return torch.cat([moment.reshape(-1) for moment in moments])

    def unpack(self, vector: Tensor) -> CrossMoments:
        """The moments that a vector holds."""
        parts = zip(vector.split(self.sizes), self.shapes, strict=True)
        return CrossMoments(*(part.view(shape) for part, shape in parts))

    def merge(self, vectors: Tensor) -> Tensor:
        """Merge a stack of vectors, one for each process or batch, into one."""
        first, *rest = vectors
        moments = self.unpack(first)
        for vector in rest:
            moments = merge(moments, self.unpack(vector))
        return self.pack(moments)


class MomentMetric(ReplicatedMetric):
    """A metric computed from the `CrossMoments` of all samples; exact however they are split into batches.

    State: one float64 vector `moments` of count, means and scatter, `full` or diagonal, merged by the parallel update.
    """

    full: ClassVar[bool]
    moments: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        self.layout = MomentLayout(self.leading, teacher_nodes, student_nodes, self.full)
        zeros = torch.zeros(sum(self.layout.sizes), dtype=accumulation_dtype(self.device))
        self.add_state("moments", zeros, dist_reduce_fx=partial(MomentLayout.merge, self.layout))

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes are not those that the constructor was told.
        """
        self.check(teacher, student)
        batch = cross_moments(teacher, student, full=self.full)
        self.moments = self.layout.pack(merge(self.layout.unpack(self.moments), batch))
