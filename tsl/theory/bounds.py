"""How many samples suffice, and how small the gradient must be, for two-layer students to specialize.

The paper states orders of growth. `constant`, 1 by default, is the factor that they leave out, so only the growth of a
bound has a meaning. Letters: m teacher and n student nodes of the hidden layer, K = m + n, d the input dimension, ε the
sine up to which a student node is to be aligned. (Tian, ICML 2020, abstract.)

The theorem has one more condition constant, κ, which the abstract does not name. Its power is unknown to us, so it is a
part of `constant` and has no argument of its own.
"""


def base_samples(m: int, n: int, d: int, epsilon: float, constant: float = 1.0) -> float:
    """Samples before teacher-agnostic augmentation: constant · K^{5/2} d² ε⁻¹."""
    return constant * (m + n) ** 2.5 * d**2 / epsilon


def augmented_samples(m: int, n: int, d: int, epsilon: float, constant: float = 1.0) -> float:
    """Samples after teacher-agnostic augmentation, of order K^{5/2} d³ ε⁻¹.

    Each of the base samples, constant · K^{5/2} d² ε⁻¹, gets 2d more: a step forward and a step back in every
    direction.
    """
    return (2 * d + 1) * base_samples(m, n, d, epsilon, constant)


def teacher_aware_samples(m: int, n: int, d: int, epsilon: float, constant: float = 1.0) -> float:
    """Samples in all with teacher-aware augmentation: constant · K^{5/2} d ε⁻¹."""
    return constant * (m + n) ** 2.5 * d / epsilon


def gradient_bound(m: int, n: int, d: int, epsilon: float, alpha: float = 1.0, c: float = 5.0) -> float:
    """The largest ‖g_1(x)‖∞ that the theorem allows at every sample: α ε / (c K^{3/2} √d).

    Args:
        m: Teacher nodes.
        n: Student nodes.
        d: Input dimension.
        epsilon: ε.
        alpha: α_kj = |v_kᵀ v°_j| of the teacher node and the student node that observes it.
        c: The constant of the condition.
    """
    return alpha * epsilon / gradient_factor(m, d, n, c)


def gradient_factor(teacher_nodes: int, dim: int, student_nodes: int, c: float) -> float:
    """The factor c K^{3/2} √d of the granted ε = factor · ‖g_1‖∞ / α_kj, which is below 1 if ‖g_1‖∞ < α_kj / factor.

    Args:
        teacher_nodes: m.
        dim: d.
        student_nodes: n.
        c: The constant of the gradient condition.
    """
    return c * (teacher_nodes + student_nodes) ** 1.5 * dim**0.5
