"""How close a student node's weights and bias are to a teacher node's, up to a positive scale."""

from typing import NamedTuple

import torch
from torch import Tensor


class WeightAlignment(NamedTuple):
    """How closely every student node is aligned with every teacher node, each `[..., m, n]`.

    Attributes:
        sine: sin∠(w_j, w_k), in [0, 1]; 1 for angles of 90° and more.
        bias_gap: |b_j/‖w_j‖ − b_k/‖w_k‖|, from 0.
        epsilon: The smallest ε at which the two are ε-aligned, from 0.
    """

    sine: Tensor
    bias_gap: Tensor
    epsilon: Tensor


def weight_alignment(
    teacher_weight: Tensor, teacher_bias: Tensor, student_weight: Tensor, student_bias: Tensor, M: float = 1.0
) -> WeightAlignment:
    """The smallest ε at which each student node is ε-aligned with each teacher node, and its two parts.

    With (w, b) divided by ‖w‖: sin∠(w_j, w_k) ≤ ε and |b_j − b_k| ≤ M·ε, so ε = max(sin∠, |b_j − b_k| / M).

    For unit vectors sin∠ = ‖u − v‖·‖u + v‖/2, which is accurate up to rounding for the smallest angles too. A ReLU node
    with weights −w differs from one with w, so the sine is set to 1 wherever the cosine is not positive. A node with
    zero weights has no hyperplane and is not aligned with any node at any ε: its sine is 1, its bias gap and ε are
    infinite.

    Args:
        teacher_weight: Incoming weights w_j, `[..., m, d]`.
        teacher_bias: b_j, `[..., m]`.
        student_weight: Incoming weights w_k, `[..., n, d]`.
        student_bias: b_k, `[..., n]`.
        M: The theorem's M, positive: bias gap allowed for each unit of sine.

    Returns:
        Sine, bias gap and ε, each `[..., m, n]` in the weights' precision; lower is closer, and 0 is the same node up
        to a positive scale; NaN for a node with a weight or bias that is not finite. Cost: m·n·d, without an array
        of that size.

    Raises:
        ValueError: If M is not positive, or teacher and student have different numbers of inputs.

    Source: the ε-alignment of the paper's theorems for the lowest layer (Tian, ICML 2020).

    Example:
        >>> teacher, student = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> alignment = weight_alignment(teacher, torch.tensor([0.5]), student, torch.tensor([1.2, 0.5, 0.5]))
        >>> alignment.sine
        tensor([[0., 1., 1.]])
        >>> alignment.epsilon
        tensor([[0.1000, 1.0000, 1.0000]])
    """
    if M <= 0:
        raise ValueError(f"expected M to be positive, got {M}")
    if teacher_weight.shape[-1] != student_weight.shape[-1]:
        raise ValueError(
            "expected teacher and student weights of the same inputs, [..., nodes, d], "
            f"got teacher {list(teacher_weight.shape)} and student {list(student_weight.shape)}"
        )
    unit_t, bias_t = _by_weight_norm(teacher_weight, teacher_bias)
    unit_s, bias_s = _by_weight_norm(student_weight, student_bias)
    difference = torch.cdist(unit_t, unit_s, compute_mode="donot_use_mm_for_euclid_dist")
    total = torch.cdist(unit_t, -unit_s, compute_mode="donot_use_mm_for_euclid_dist")
    sine = torch.where(difference < total, difference * total / 2, 1).clamp(max=1)
    bias_gap = (bias_t.unsqueeze(-1) - bias_s.unsqueeze(-2)).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    undefined = _undefined(teacher_weight, teacher_bias).unsqueeze(-1) + _undefined(
        student_weight, student_bias
    ).unsqueeze(-2)
    sine, bias_gap = sine + undefined, bias_gap + undefined
    return WeightAlignment(sine, bias_gap, torch.maximum(sine, bias_gap / M))


def _undefined(weight: Tensor, bias: Tensor) -> Tensor:
    """NaN for a node with a weight or bias that is not finite, else 0, `[..., nodes]`."""
    return 0 * (weight.sum(dim=-1) + bias)


def _by_weight_norm(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and bias divided by ‖w‖; 0 and infinity for a node without weights."""
    norm = weight.norm(dim=-1)
    zero = norm == 0
    norm = norm.where(~zero, 1)
    return weight / norm.unsqueeze(-1), (bias / norm).where(~zero, torch.inf)
