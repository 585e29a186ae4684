"""Centred kernel alignment of two layers with Gaussian kernels, over minibatches."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations, check_finite, check_samples
from tsl.metrics.functional.linear_cka import alignment
from tsl.metrics.functional.precision import accumulation_dtype


def rbf_cka(teacher: Tensor, student: Tensor, bandwidth: float = 1.0) -> Tensor:
    """Centred kernel alignment with Gaussian kernels, debiased, of one minibatch.

    CKA = H(K, L) / √(H(K, K) · H(L, L)), 0 if a layer is constant, with K_xy = exp(−‖t(x) − t(y)‖² / 2σ²), L the same
    for the student, σ = `bandwidth` times the median distance of two samples (their root mean square where the median
    is 0), and H the unbiased estimate of HSIC: the mean over pairs of samples of the product of both kernels,
    U-centred.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.
        bandwidth: σ in median distances, positive.

    Returns:
        `[...]`, float64, in [−1, 1], below 0 by chance only. Higher is closer; 1 is the same layer up to rotation,
        reflection and one scale. Cost: samples² · (m + n) in time and samples² in memory, one replicate at a time. All
        pairs of samples are compared, so use minibatches.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, there are fewer than 4 samples, or the
            bandwidth is not positive.

    Source: Kornblith et al. 2019; Song et al. 2012 for H; Székely and Rizzo 2014 for its U-centred form.

    Example:
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [3.0, 2.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0], [5.0]])
        >>> round(rbf_cka(teacher, student).item(), 4)
        0.1293
    """
    check_finite(teacher=teacher, student=student)
    cross, norm_t, norm_s = rbf_independence(teacher, student, bandwidth)
    return alignment(cross, norm_t, norm_s)


def rbf_independence(teacher: Tensor, student: Tensor, bandwidth: float) -> Tensor:
    """H(K, L), H(K, K) and H(L, L) of one minibatch, stacked, `[3, ...]`."""
    check_bandwidth(bandwidth)
    check_activations(teacher, student)
    *leading, samples, _ = teacher.shape
    check_samples("RBF CKA", 4, samples)
    values = []
    for t, s in zip(teacher.reshape(-1, *teacher.shape[-2:]), student.reshape(-1, *student.shape[-2:]), strict=True):
        kernel_t, kernel_s = _centred_kernel(t, bandwidth), _centred_kernel(s, bandwidth)
        pairs = ((kernel_t, kernel_s), (kernel_t, kernel_t), (kernel_s, kernel_s))
        values.append(torch.stack([torch.linalg.vecdot(left.flatten(), right.flatten()) for left, right in pairs]))
    return torch.stack(values, dim=-1).reshape(3, *leading) / (samples * (samples - 3))


def _centred_kernel(activations: Tensor, bandwidth: float) -> Tensor:
    """The U-centred Gaussian kernel of `[samples, nodes]`: rows and columns sum to 0, the diagonal is 0."""
    precise = activations.to(accumulation_dtype(activations.device))
    centred = precise - precise.mean(dim=0)
    squares = centred.square().sum(dim=1)
    samples = len(squares)
    same = torch.eye(samples, dtype=torch.bool, device=squares.device)
    distance = (squares[:, None] + squares - 2 * centred @ centred.T).clamp(min=0)
    pairs = distance[~same]
    scale = pairs.median()
    scale = torch.where(scale > 0, scale, pairs.mean())
    kernel = torch.exp(distance / scale.where(scale > 0, 1) / (-2 * bandwidth**2)).where(~same, 0)
    sums = kernel.sum(dim=0) / (samples - 2)
    return (kernel - sums - sums[:, None] + sums.sum() / (samples - 1)).where(~same, 0)


def check_bandwidth(bandwidth: float) -> None:
    """Refuse a bandwidth that is not positive.

    Raises:
        ValueError: If it is not positive.
    """
    if bandwidth <= 0:
        raise ValueError(f"expected bandwidth to be positive, got {bandwidth}")
