"""Linear centred kernel alignment of two layers, streaming."""

from torch import Tensor

from tsl.metrics.functional.linear_cka import linear_cka_from_moments
from tsl.metrics.moment_metric import MomentMetric


class LinearCKA(MomentMetric):
    """Linear centred kernel alignment, biased.

    CKA = ‖TᵀS‖²_F / (‖TᵀT‖_F · ‖SᵀS‖_F), T and S centred. The streaming form of `tsl.metrics.functional.linear_cka`;
    see there for more. The result does not depend on how the samples are split over batches and processes. The state,
    float64, is R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [0, 1], higher is closer; it raises ValueError for fewer than 2
    samples.

    Example:
        >>> import torch
        >>> metric = LinearCKA(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.6869
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def compute(self) -> Tensor:
        """The alignment over all samples so far, `[...]`."""
        return linear_cka_from_moments(self.all_moments())
