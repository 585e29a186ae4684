"""Orthogonal Procrustes similarity and distance of two layers, streaming."""

from torch import Tensor

from tsl.metrics.functional.procrustes import procrustes_distance_from_moments, procrustes_similarity_from_moments
from tsl.metrics.moment_metric import MomentMetric


class ProcrustesSimilarity(MomentMetric):
    """How similar one layer is to the other after the best rotation or reflection and scaling.

    ‖TᵀS‖_* / (‖T‖_F · ‖S‖_F), T and S centred. The streaming form of `tsl.metrics.functional.procrustes_similarity`;
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
        >>> metric = ProcrustesSimilarity(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.6969
    """

    is_differentiable = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    full = True

    def compute(self) -> Tensor:
        """The similarity over all samples so far, `[...]`."""
        return procrustes_similarity_from_moments(self.all_moments())


class ProcrustesDistance(MomentMetric):
    """The distance of one layer from the best rotation or reflection of the other, both scaled to unit length.

    √(2 − 2·similarity) with the similarity of `ProcrustesSimilarity`. The streaming form of
    `tsl.metrics.functional.procrustes_distance`; see there for more. The result does not depend on how the samples are
    split over batches and processes. The state, float64, is R·(m² + n² + m·n + m + n) + 2 numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        kwargs: Passed to `torchmetrics.Metric`.

    `compute` returns a number or `[R]`, float64 in [0, √2], lower is closer; it raises ValueError for fewer than 2
    samples.

    Example:
        >>> import torch
        >>> metric = ProcrustesDistance(teacher_nodes=2, student_nodes=1)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0], [-2.0]]))
        >>> round(metric.compute().item(), 4)
        0.7785
    """

    is_differentiable = False
    higher_is_better = False
    plot_lower_bound = 0.0
    full = True

    def compute(self) -> Tensor:
        """The distance over all samples so far, `[...]`."""
        return procrustes_distance_from_moments(self.all_moments())
