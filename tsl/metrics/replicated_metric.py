"""The base class of metrics that compare a teacher's layer with a student's."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tsl.metrics.accumulator import Accumulator
from tsl.metrics.functional.activations import check_activations
from tsl.metrics.plotting import plot_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tsl.metrics.plotting import Plot


class ReplicatedMetric(Accumulator, ABC):
    """A metric over activations of a teacher's layer and a student's.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates: activations are then `[R, samples, nodes]` and results `[R, ...]`. None is
            for activations without that axis, `[samples, nodes]`.
        kwargs: Passed to `torchmetrics.Metric`.

    If activations are NaN or infinite, or so large that their squares are infinite, the results of that replicate, or
    of pairs with that node, are NaN. Other replicates, and pairs of other nodes, keep their values.

    States with the same name accumulate in the same way. Metrics whose states have the same names and sizes may
    therefore share them, as a compute group of a `MetricCollection`.

    Raises:
        ValueError: If a number of nodes or replicates is not positive.
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False

    def __init__(self, teacher_nodes: int, student_nodes: int, replicates: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, number in (
            ("teacher_nodes", teacher_nodes),
            ("student_nodes", student_nodes),
            ("replicates", replicates),
        ):
            if number is not None and number < 1:
                raise ValueError(f"expected {name} to be at least 1, got {number}")
        self.teacher_nodes = teacher_nodes
        self.student_nodes = student_nodes
        self.replicates = replicates

    @property
    def leading(self) -> tuple[int, ...]:
        """The leading axes of activations and results: `(R,)`, or none."""
        return () if self.replicates is None else (self.replicates,)

    def check(self, teacher: Tensor, student: Tensor) -> None:
        """Refuse a batch whose shapes differ from the constructor's arguments.

        Raises:
            ValueError: If they differ.
        """
        check_activations(teacher, student)
        for name, activations, nodes in (
            ("teacher", teacher, self.teacher_nodes),
            ("student", student, self.student_nodes),
        ):
            *leading, _, width = activations.shape
            if (*leading, width) != (*self.leading, nodes):
                expected = ", ".join(map(str, (*self.leading, "samples", nodes)))
                raise ValueError(f"expected {name} activations [{expected}], got {list(activations.shape)}")

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> Plot:
        """Draw a value: a heat map of teacher by student nodes, bars of replicates, or lines over steps.

        Args:
            val: A result of `compute` or `forward`, or a sequence of them; by default `compute()` is called.
            ax: The matplotlib axes to draw into; by default those of a new figure.

        Returns:
            The matplotlib figure and axes. A heat map shows the mean over replicates.
        """
        bounds = (self.plot_lower_bound, self.plot_upper_bound)
        return plot_value(self.compute() if val is None else val, ax, name=type(self).__name__, bounds=bounds)
