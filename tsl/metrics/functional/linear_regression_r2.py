"""How much of one layer a linear function of the other explains."""

from typing import Literal, get_args

from torch import Tensor

from tsl.metrics.functional.activations import check_finite, check_samples
from tsl.metrics.functional.canonical_correlation import standardized
from tsl.metrics.functional.cross_moments import CrossMoments, cross_moments, undefined, without_constant_nodes
from tsl.metrics.functional.precision import clamp_to_one
from tsl.metrics.functional.spectrum import whitening

Direction = Literal["teacher_from_student", "student_from_teacher"]


def linear_regression_r2(teacher: Tensor, student: Tensor, direction: Direction = "teacher_from_student") -> Tensor:
    """The share of one layer's variance that the best linear function of the other explains, on the same samples.

    R² = 1 − min over A, c of Σ‖t − A·s − c‖² / Σ‖t − t̄‖², over all nodes together; 0 if a layer is constant.
    Directions of the explaining layer whose spread is below 1e-6 of the largest are only rounding and are left out.
    With no more samples than explaining nodes it is 1 for any two layers.

    Args:
        teacher: Activations T, `[..., samples, m]`.
        student: Activations S, `[..., samples, n]`.
        direction: Which layer is explained, and from which; the two values differ.

    Returns:
        `[...]`, float64, in [0, 1]. Higher is closer; 1 if the explained layer is a linear function of the other. Cost:
        the three products of T and S with themselves and each other, and one eigendecomposition.

    Raises:
        ValueError: If the activations cannot be compared or are not finite, there are fewer than 2 samples, or the
            direction is unknown.

    Source: Kornblith et al. 2019, section 4.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> student = torch.tensor([[0.0], [2.0], [1.0], [-2.0]])
        >>> round(linear_regression_r2(teacher, student).item(), 4)
        0.4857
        >>> round(linear_regression_r2(teacher, student, "student_from_teacher").item(), 4)
        0.9714
    """
    check_direction(direction)
    check_finite(teacher=teacher, student=student)
    return linear_regression_r2_from_moments(cross_moments(teacher, student, full=True), direction)


def linear_regression_r2_from_moments(moments: CrossMoments, direction: Direction) -> Tensor:
    """`linear_regression_r2` from the moments of all samples, `[...]`."""
    check_samples("linear-regression R²", 2, int(moments.samples))
    scaled, raw = standardized(moments), without_constant_nodes(moments)
    if direction == "teacher_from_student":
        explaining, cross, explained = scaled.student_scatter, scaled.cross_scatter, raw.teacher_scatter
    else:
        explaining, cross, explained = scaled.teacher_scatter, scaled.cross_scatter.mT, raw.student_scatter
    whitener, _ = whitening(explaining)
    variance = explained.diagonal(dim1=-2, dim2=-1)
    share = (cross @ whitener).square().sum(dim=-1)  # of each standardized node
    total = variance.sum(dim=-1)
    value = clamp_to_one((share * variance).sum(dim=-1) / total.where(total > 0, 1))
    return value + undefined(moments)


def check_direction(direction: str) -> None:
    """Refuse an unknown direction.

    Raises:
        ValueError: If it is neither of the two.
    """
    if direction not in get_args(Direction):
        raise ValueError(f"expected direction to be one of {', '.join(get_args(Direction))}, got {direction!r}")
