"""Objectives of a student: functions from its outputs and the teacher's to one loss for each replicate.

Any function of this form can be named in a config by its import path.
"""

from torch import Tensor
from torch.nn.functional import mse_loss


def half_squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """½ ‖f°(x) − f(x)‖², summed over outputs and averaged over samples: the paper's two-layer objective.

    Args:
        student: Student outputs f(x), `[R, B, outputs]`.
        teacher: Teacher outputs f°(x), `[R, B, outputs]`.

    Returns:
        One loss for each replicate, `[R]`.
    """
    return mse_loss(student, teacher, reduction="none").sum(dim=(-2, -1)) * (0.5 / student.shape[-2])


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """(f°(x) − f(x))², averaged over samples and outputs.

    Args:
        student: Student outputs f(x), `[R, B, outputs]`.
        teacher: Teacher outputs f°(x), `[R, B, outputs]`.

    Returns:
        One loss for each replicate, `[R]`.
    """
    return mse_loss(student, teacher, reduction="none").mean(dim=(-2, -1))
