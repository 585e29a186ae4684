"""Canonical correlation analysis of two layers, streaming."""

from torch import Tensor

from tsl.metrics.functional.canonical_correlation import cca_from_moments, svcca_from_moments
from tsl.metrics.moment_metric import MomentMetric


class CCA(MomentMetric):
    """The mean canonical correlation of two layers.

    CCA = (1/r) Σ_i ρ_i over the r canonical correlations. The streaming form of `tsl.metrics.functional.cca`; see there
    for more. The result does not depend on how the samples are split over batches and processes. The state, float64, is
    R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [0, 1], higher is closer; it raises ValueError for fewer than 2
    samples.

    Example:
        >>> import torch
        >>> metric = CCA(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.9856
    """

    is_differentiable = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def compute(self) -> Tensor:
        """The mean canonical correlation over all samples so far, `[...]`."""
        return cca_from_moments(self.all_moments())


class SVCCA(MomentMetric):
    """The mean canonical correlation of the principal directions with 99 % of the variance.

    CCA of both layers reduced to those directions. The streaming form of `tsl.metrics.functional.svcca`; see there for
    more. The result does not depend on how the samples are split over batches and processes. The state, float64, is
    R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [0, 1], higher is closer; it raises ValueError for fewer than 2
    samples.

    Example:
        >>> import torch
        >>> metric = SVCCA(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.9856
    """

    is_differentiable = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def compute(self) -> Tensor:
        """The mean canonical correlation over all samples so far, `[...]`."""
        return svcca_from_moments(self.all_moments())
