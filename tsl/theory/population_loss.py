"""The exact loss of two-layer networks without biases on Gaussian inputs, with no sampling error of a test set.

Letters: K student nodes, M teacher nodes, O outputs; leading axes are replicates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.theory.activation import Activation
from tsl.theory.gaussian_averages import Erf, GaussianAverages, PiecewiseLinear, Quadratic
from tsl.theory.order_parameters import OrderParameters


def gaussian_averages(student: Activation, teacher: Activation, nodes: Sequence[int]) -> GaussianAverages:
    """The averages of K student and M teacher fields.

    Args:
        student: The student's activation.
        teacher: The teacher's activation; it may differ only if both are (leaky) ReLU or linear.
        nodes: K and M.

    Raises:
        InputError: If the averages have no closed form.
    """
    slopes = [{"relu": each.negative_slope, "linear": 1.0}.get(each.name) for each in (student, teacher)]
    if None not in slopes:
        return PiecewiseLinear(torch.tensor([slope for slope, n in zip(slopes, nodes, strict=True) for _ in range(n)]))
    closed = {"erf": Erf, "quadratic": Quadratic}
    if student.name == teacher.name and student.name in closed:
        return closed[student.name]()
    raise InputError(
        "expected erf for student and teacher, or quadratic for both, or each of them relu (any negative_slope) or "
        f"linear, got a student with {student.name} and a teacher with {teacher.name}: no closed form"
    )


def population_loss(
    overlaps: OrderParameters, student_readout: Tensor, teacher_readout: Tensor, averages: GaussianAverages
) -> Tensor:
    """½ E_x ‖f(x) − f°(x)‖² over Gaussian inputs, exactly.

    With U = (V, −V°) and C the covariance of all fields, it is ½ Σ_ab (UᵀU)_ab ⟨g(x_a) g(x_b)⟩; for erf and one output
    that is the generalization error of Saad & Solla 1995, eq. (10).

    Args:
        overlaps: Overlaps normalized by "fields".
        student_readout: V, `[..., O, K]`.
        teacher_readout: V°, `[..., O, M]`.
        averages: Gaussian averages of both networks' activations.

    Returns:
        `[...]` float64, not below 0. Its error is about 1e-16 times the mean square of the outputs, also near 0.
    """
    gram = joint_gram(student_readout, teacher_readout)
    return (gram * averages.products(overlaps.covariance)).sum(dim=(-2, -1)).div(2).clamp(min=0)


def joint_gram(student_readout: Tensor, teacher_readout: Tensor) -> Tensor:
    """UᵀU of U = (V, −V°), `[..., K + M, K + M]` float64: f − f° is U g."""
    U = joint_readout(student_readout, teacher_readout)
    return U.mT @ U


def joint_readout(student_readout: Tensor, teacher_readout: Tensor) -> Tensor:
    """U = (V, −V°), `[..., O, K + M]` float64; either may lack leading axes of the other."""
    leading = torch.broadcast_shapes(student_readout.shape[:-2], teacher_readout.shape[:-2])
    V, V_teacher = (each.double().expand(*leading, *each.shape[-2:]) for each in (student_readout, teacher_readout))
    return torch.cat([V, -V_teacher], dim=-1)
