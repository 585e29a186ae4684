"""Metrics that are functions of means and centred second moments, which stream exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional.cross_moments import CrossMoments, cross_moments, merge
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.replicated_metric import ReplicatedMetric


class Layout(NamedTuple):
    """How several moments are stored in one vector, so that a metric has a single state to merge and gather.

    Attributes:
        shapes: The shape of each moment, in order.
    """

    shapes: Sequence[tuple[int, ...]]

    @property
    def sizes(self) -> list[int]:
        """The number of elements of each moment, in order."""
        return [torch.Size(shape).numel() for shape in self.shapes]

    @property
    def size(self) -> int:
        """The number of elements of all."""
        return sum(self.sizes)

    def pack(self, moments: Sequence[Tensor]) -> Tensor:
        """Join the moments to one vector."""
        return torch.cat([moment.reshape(-1) for moment in moments])

    def unpack(self, vector: Tensor) -> list[Tensor]:
        """Split such a vector into its moments."""
        return [part.view(shape) for part, shape in zip(vector.split(self.sizes), self.shapes, strict=True)]


def moment_shapes(
    leading: tuple[int, ...], teacher_nodes: int, student_nodes: int, *, full: bool
) -> list[tuple[int, ...]]:
    """The shapes of `CrossMoments`, in order."""
    m, n = (*leading, teacher_nodes), (*leading, student_nodes)
    scatter = [(*m, teacher_nodes), (*n, student_nodes)] if full else [m, n]
    return [(), (), m, n, *scatter, (*m, student_nodes)]


class MomentMetric(ReplicatedMetric):
    """A metric computed from the `CrossMoments` of all samples; it does not depend on their split into batches.

    State: one float64 vector `moments` of count, means and scatter, `full` or diagonal, merged by the parallel update.
    """

    full: ClassVar[bool]
    products: torch.dtype | None = None
    moments: Tensor

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        self.layout = Layout(moment_shapes(self.leading, teacher_nodes, student_nodes, full=self.full))
        zeros = torch.zeros(self.layout.size, dtype=accumulation_dtype(self.device))
        self.add_state("moments", zeros, dist_reduce_fx=partial(_merge, self.layout))

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a batch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments.
        """
        self.check(teacher, student)
        batch = cross_moments(teacher, student, full=self.full, products=self.products)
        self.moments = self.layout.pack(merge(self.all_moments(), batch))

    def all_moments(self) -> CrossMoments:
        """The moments of all samples so far."""
        return CrossMoments(*self.layout.unpack(self.moments))


def _merge(layout: Layout, vectors: Tensor) -> Tensor:
    """Merge a stack of vectors, one for each process or batch, into one."""
    first, *rest = (CrossMoments(*layout.unpack(vector)) for vector in vectors)
    for moments in rest:
        first = merge(first, moments)
    return layout.pack(first)
