"""The RV coefficient of two layers."""

from torch import Tensor

from tsl.metrics.functional.activations import check_finite
from tsl.metrics.functional.cross_moments import CrossMoments
from tsl.metrics.functional.linear_cka import linear_cka_from_moments
from tsl.metrics.functional.wide import narrowed_moments


def rv_coefficient(teacher: Tensor, student: Tensor) -> Tensor:
    """The RV coefficient, the correlation of two layers as multivariate variables.

    RV = tr(Σ_ts Σ_st) / √(tr(Σ_tt²) · tr(Σ_ss²)), Σ the covariances. It is the same number as biased `linear_cka`,
    under its name in statistics.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer; 1 is the same layer up to rotation, reflection and one scale.
        Cost: the three products of T and S with themselves and each other.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, or there are fewer than 2 samples.

    Source: Robert and Escoufier 1976, "A unifying tool for linear multivariate statistical methods".

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [0.0], [-2.0]])
        >>> round(rv_coefficient(teacher, student).item(), 4)
        0.7071
    """
    check_finite(teacher=teacher, student=student)
    return rv_coefficient_from_moments(narrowed_moments(teacher, student))


def rv_coefficient_from_moments(moments: CrossMoments) -> Tensor:
    """`rv_coefficient` from the moments of all samples, `[...]`."""
    return linear_cka_from_moments(moments)
