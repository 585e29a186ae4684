"""Centred kernel alignment of two layers with Gaussian kernels, over minibatches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tsl.metrics.functional.linear_cka import alignment
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.metrics.functional.rbf_cka import check_bandwidth, rbf_independence
from tsl.metrics.replicated_metric import ReplicatedMetric


class RBFCKA(ReplicatedMetric):
    """Minibatch centred kernel alignment with Gaussian kernels, debiased.

    CKA = Σ H(K, L) / √(Σ H(K, K) · Σ H(L, L)), the sums over minibatches, H as in `tsl.metrics.functional.rbf_cka`; see
    there for more. Samples of different batches are not compared, and each batch has its own bandwidth. The value
    therefore depends on how the samples are split, but little on average, because H is unbiased. The state is 3R
    numbers.

    Args:
        teacher_nodes: Number m of teacher nodes.
        student_nodes: Number n of student nodes.
        replicates: Number R of replicates, or None for activations without that axis.
        bandwidth: Width of the Gaussians in median distances between samples, positive.
        kwargs: Passed to `torchmetrics.Metric`.

    Raises ValueError for a bandwidth that is not positive. `compute` returns a number or `[R]`, float64 in [−1, 1],
    higher is closer. Source: Nguyen et al. 2021, "Do wide and deep networks learn the same things?", for the sums.

    Example:
        >>> metric = RBFCKA(teacher_nodes=2, student_nodes=1)
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [3.0, 2.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0], [5.0]])
        >>> metric.update(teacher, student)
        >>> round(metric.compute().item(), 4)
        0.1293
    """

    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    independence: Tensor

    def __init__(
        self,
        teacher_nodes: int,
        student_nodes: int,
        replicates: int | None = None,
        bandwidth: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher_nodes, student_nodes, replicates, **kwargs)
        check_bandwidth(bandwidth)
        self.bandwidth = bandwidth
        zeros = torch.zeros(3, *self.leading, dtype=accumulation_dtype(self.device))
        self.add_state("independence", zeros, dist_reduce_fx="sum")

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Add a minibatch.

        Args:
            teacher: Activations `[samples, m]`, or `[R, samples, m]`.
            student: Activations `[samples, n]`, or `[R, samples, n]`.

        Raises:
            ValueError: If their shapes differ from the constructor's arguments, or there are fewer than 4 samples.
        """
        self.check(teacher, student)
        self.independence = self.independence + rbf_independence(teacher, student, self.bandwidth)

    def compute(self) -> Tensor:
        """The alignment over all minibatches so far, `[...]`."""
        return alignment(*self.independence)
