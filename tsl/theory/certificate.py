"""The theorem as a certificate: the ε it grants for a trained two-layer student, and the ε that its weights reached.

For a two-layer ReLU student of a two-layer ReLU teacher, if the hyperplane of teacher node j is observed by student
node k and, at every training input,

    ‖g_1(x)‖∞ ≤ α_kj ε / (c K^{3/2} √d),

then some student node is ε-aligned with j. The theorem thus *grants*, for a measured ‖g_1‖∞, the ε at which this is an
equality. A granted ε of 1 or more has no content, because a sine never exceeds 1. (Tian, ICML 2020, theorem for
two-layer networks; it also requires augmented training inputs, which is not checked here.)

A student node that is aligned with j to the last digit is active on one side of j's hyperplane only, so it does not
observe it. The observing node is therefore usually another one, such as the one aligned with the next teacher node.

Letters: R replicates, m teacher and n student nodes of the hidden layer, K = m + n, d the input dimension.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tsl.metrics.functional import weight_alignment
from tsl.theory.bounds import gradient_factor


class TwoLayerWeights(NamedTuple):
    """The weights of two-layer networks that occur in the theorem.

    Attributes:
        weight: Incoming weights of the hidden nodes, `[R, nodes, d]`.
        bias: Their biases, `[R, nodes]`.
        fan_out: Weights of the output, `[R, outputs, nodes]`.
    """

    weight: Tensor
    bias: Tensor
    fan_out: Tensor


class Certificate(NamedTuple):
    """The granted and the reached ε of each teacher node; each field is `[R, m]`, nodes counted from 0.

    Attributes:
        observed: Whether a student node observes the teacher node's hyperplane.
        observer: The observing student node with the smallest granted ε; −1 if there is none.
        alpha: α_kj of that student node; NaN if there is none.
        gradient_sup_norm: ‖g_1(x)‖∞ over the training inputs, the same for every node of a replicate.
        granted_epsilon: The smallest ε granted by an observing student node, from 0; infinite if none is granted.
        reached_epsilon: The smallest ε at which any student node is aligned, from 0.
        best_aligned_student: That student node.
        observer_epsilon: The smallest ε at which `observer` is aligned; NaN if there is none.
        condition: The theorem's condition holds for some ε below 1: granted_epsilon < 1.
        vacuous: The node is observed, but the theorem makes no statement about it: granted_epsilon ≥ 1.
        conclusion: Some student node is as closely aligned as granted: reached_epsilon ≤ granted_epsilon, up to the
            rounding of the weights. This is always true if the granted ε is infinite.
    """

    observed: Tensor
    observer: Tensor
    alpha: Tensor
    gradient_sup_norm: Tensor
    granted_epsilon: Tensor
    reached_epsilon: Tensor
    best_aligned_student: Tensor
    observer_epsilon: Tensor
    condition: Tensor
    vacuous: Tensor
    conclusion: Tensor


def certificate(
    teacher: TwoLayerWeights,
    student: TwoLayerWeights,
    observation: Tensor,
    gradient_sup_norm: Tensor,
    *,
    c: float = 5.0,
    bias_scale: float = 1.0,
) -> Certificate:
    """Compare trained students with the theorem.

    Args:
        teacher: The teachers' weights. The paper's α_kj = |v_kᵀ v°_j| is for teacher nodes of unit ‖w_j‖. Others are
            scaled to unit ‖w_j‖ first, which does not change the teacher's function.
        student: The students' weights.
        observation: Boundary observation O_jk over the training inputs, `[R, m, n]`.
        gradient_sup_norm: ‖g_1(x)‖∞ over the training inputs, `[R]`.
        c: The constant of the gradient condition, positive.
        bias_scale: M of ε-alignment, positive: bias gap allowed for each unit of sine.

    Returns:
        The certificate of each teacher node.
    """
    coupling = node_coupling(teacher, student)
    observes = observation > 0
    observed = observes.any(dim=-1)
    # ‖g_1‖∞ is the same for all pairs, so the observing student node with the largest α grants the smallest ε.
    alpha, strongest = coupling.where(observes, -1).max(dim=-1)
    observer = strongest.where(observed, -1)
    sup_norm = gradient_sup_norm.to(alpha)[:, None].expand_as(alpha)
    factor = gradient_factor(teacher.weight.shape[1], teacher.weight.shape[2], student.weight.shape[1], c)
    granted_epsilon = torch.where(alpha > 0, factor * sup_norm / alpha, torch.inf)  # α = 0 grants no ε, even if g = 0
    epsilon = weight_alignment(teacher.weight, teacher.bias, student.weight, student.bias, M=bias_scale).epsilon
    reached_epsilon, best_aligned_student = epsilon.min(dim=-1)
    observer_epsilon = epsilon.gather(-1, strongest[..., None]).squeeze(-1)
    rounding = 8 * torch.finfo(epsilon.dtype).eps
    return Certificate(
        observed=observed,
        observer=observer,
        alpha=alpha.where(observed, torch.nan),
        gradient_sup_norm=sup_norm,
        granted_epsilon=granted_epsilon,
        reached_epsilon=reached_epsilon,
        best_aligned_student=best_aligned_student,
        observer_epsilon=observer_epsilon.where(observed, torch.nan),
        condition=granted_epsilon < 1,
        vacuous=observed & (granted_epsilon >= 1),
        conclusion=reached_epsilon <= granted_epsilon + rounding,
    )


def node_coupling(teacher: TwoLayerWeights, student: TwoLayerWeights) -> Tensor:
    """α_kj = |v_kᵀ v°_j| of every pair, for teacher nodes scaled to unit ‖w_j‖, `[R, m, n]`.

    The scaling w_j → w_j / ‖w_j‖, v°_j → v°_j ‖w_j‖ (biases like w_j) does not change the teacher's function. Without
    it, the granted ε would depend on the parametrization of the same function.
    """
    return (teacher.fan_out.mT @ student.fan_out).abs() * teacher.weight.norm(dim=-1, keepdim=True)
