"""The RV coefficient of two layers, streaming."""

from torch import Tensor

from tsl.metrics.functional.rv_coefficient import rv_coefficient_from_moments
from tsl.metrics.moment_metric import MomentMetric


class RVCoefficient(MomentMetric):
    """The RV coefficient, the same number as biased `LinearCKA`.

    RV = tr(Σ_ts Σ_st) / √(tr(Σ_tt²) · tr(Σ_ss²)), Σ the covariances. The streaming form of
    `tsl.metrics.functional.rv_coefficient`; see there for more. The result does not depend on how the samples are split
    over batches and processes. The state, float64, is R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [0, 1], higher is closer; it raises ValueError for fewer than 2
    samples.

    Example:
        >>> import torch
        >>> metric = RVCoefficient(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.6869
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def compute(self) -> Tensor:
        """The coefficient over all samples so far, `[...]`."""
        return rv_coefficient_from_moments(self.all_moments())
