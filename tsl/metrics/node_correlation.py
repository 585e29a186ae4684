"""Pearson correlation of every teacher node with every student node, streaming."""

from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.node_correlation import node_correlation_from_moments
from tsl.metrics.moment_metric import MomentMetric


class NodeCorrelation(MomentMetric):
    """Pearson correlation ρ_jk of every teacher node with every student node; 0 if either is constant.

    The streaming form of `tsl.metrics.functional.node_correlation`; see there for more. The result does not depend on
    how the samples are split over batches and processes. The state is R·(m·n + 2m + 2n) + 2 numbers in float64.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        products: Precision in which blocks of centred activations are multiplied, before they are added in float64;
            float64 if None. torch.float32 takes about half of the time; with blocks of a few hundred samples it changes
            a correlation by less than 1e-6.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns `[m, n]` or `[R, m, n]`, float64 in [−1, 1], higher is closer; it raises ValueError for fewer than
    2 samples. Source: the node correlation of Tian, ICML 2020.

    Example:
        >>> import torch
        >>> metric = NodeCorrelation(teacher_nodes=1, student_nodes=2)
        >>> metric.update(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]]))
        >>> metric.update(torch.tensor([[2.0]]), torch.tensor([[5.0, 0.0]]))
        >>> metric.compute()
        tensor([[1., 0.]], dtype=torch.float64)
    """

    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    full = False

    def __init__(
        self,
        teacher_nodes: int,
        student_nodes: int,
        replicates: int | None = None,
        products: torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        self.products = products

    def compute(self) -> Tensor:
        """The correlations over all samples so far, `[..., m, n]`."""
        return node_correlation_from_moments(self.all_moments())
