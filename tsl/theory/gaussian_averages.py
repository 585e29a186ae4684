"""Averages of activations over zero-mean Gaussian fields, in closed form, for exact losses and dynamics.

Letters: n fields x_1 … x_n with the covariance C `[..., n, n]`, g an activation, g' its derivative. Derivatives are
those of g at fields i and k; a and b are any fields. Everything is float64.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from tsl.errors import InputError


class GaussianAverages(ABC):
    """The averages that two-layer theory needs of one activation."""

    @abstractmethod
    def products(self, C: Tensor) -> Tensor:
        """⟨g(x_a) g(x_b)⟩, `[..., n, n]`."""

    @abstractmethod
    def gains(self, C: Tensor) -> Tensor:
        """⟨g'(x_i) g'(x_k)⟩, `[..., n, n]`."""

    @abstractmethod
    def drifts(self, C: Tensor) -> Tensor:
        """⟨g'(x_i) x_k g(x_a)⟩, `[..., n, n, n]` with the indices i, k, a: I₃ of Saad & Solla."""

    @abstractmethod
    def diffusions(self, C: Tensor) -> Tensor:
        """⟨g'(x_i) g'(x_k) g(x_a) g(x_b)⟩, `[..., n, n, n, n]` with the indices i, k, a, b: I₄ of Saad & Solla.

        Raises:
            InputError: If it has no closed form.
        """


class Erf(GaussianAverages):
    """g(x) = erf(x/√2): Saad & Solla 1995, Phys. Rev. E 52, 4225, appendix A.

    As g'(x) = √(2/π) exp(−x²/2) is itself a Gaussian, a factor g'(x_i) turns the fields' covariance into C − C_:i C_i:
    / (1 + C_ii), times √(2/π) / √(1 + C_ii); I₃ and I₄ are moments with the covariance after one and two such factors.
    """

    def products(self, C: Tensor) -> Tensor:
        """(2/π) asin(C_ab / √((1 + C_aa)(1 + C_bb))); see the base class."""
        scale = (1 + C.diagonal(dim1=-2, dim2=-1)).rsqrt()
        return 2 / math.pi * torch.asin(C * scale.unsqueeze(-1) * scale.unsqueeze(-2))

    def gains(self, C: Tensor) -> Tensor:
        """(2/π) / √((1 + C_ii)(1 + C_kk) − C_ik²), and i may be k; see the base class."""
        diagonal = C.diagonal(dim1=-2, dim2=-1)
        return 2 / math.pi * ((1 + diagonal.unsqueeze(-1)) * (1 + diagonal.unsqueeze(-2)) - C.square()).rsqrt()

    def drifts(self, C: Tensor) -> Tensor:
        """By the covariance under one derivative; see the base class."""
        tilted = self._tilted(C)  # [..., i, k, a]
        norm = (1 + C.diagonal(dim1=-2, dim2=-1))[..., :, None, None]
        return 2 / math.pi * tilted * (norm * (1 + tilted.diagonal(dim1=-2, dim2=-1).unsqueeze(-2))).rsqrt()

    def diffusions(self, C: Tensor) -> Tensor:
        """By the covariance under two derivatives; see the base class."""
        once = self._tilted(C)  # [..., i, a, b]
        column = once.unsqueeze(-1) * once.unsqueeze(-2)  # [..., i, k, a, b] of C_ka C_kb under i
        twice = once.unsqueeze(-3) - column / (1 + once.diagonal(dim1=-2, dim2=-1))[..., None, None]
        return self.gains(C)[..., None, None] * self.products(twice)

    @staticmethod
    def _tilted(C: Tensor) -> Tensor:
        norm = (1 + C.diagonal(dim1=-2, dim2=-1))[..., None, None]
        return C.unsqueeze(-3) - C.unsqueeze(-1) * C.unsqueeze(-2) / norm


class PiecewiseLinear(GaussianAverages):
    """g(x) = x for x > 0 and s·x below: ReLU for slope s = 0, leaky ReLU above, the identity for s = 1.

    With g = s·x + (1 − s)·ReLU, all averages follow from those of ReLU: Cho & Saul 2009 (arc-cosine kernels of degree 0
    and 1), and for I₃ Straat & Biehl 2019, arXiv 1910.07476, derived here by Gaussian integration by parts.

    Args:
        slopes: s of every field, `[n]`.
    """

    def __init__(self, slopes: Tensor) -> None:
        self.slopes = slopes.double()

    def products(self, C: Tensor) -> Tensor:
        """√(C_aa C_bb) (sin θ + (π − θ) cos θ) / 2π for two ReLUs; see the base class."""
        size, angle = _angles(C)
        relu = size * (angle.sin() + (math.pi - angle) * angle.cos()) / (2 * math.pi)
        s, t = self.slopes.unsqueeze(-1), self.slopes.unsqueeze(-2)
        return s * t * C + (s * (1 - t) + t * (1 - s)) * C / 2 + (1 - s) * (1 - t) * relu

    def gains(self, C: Tensor) -> Tensor:
        """(π − θ) / 2π for two ReLUs; see the base class."""
        _, angle = _angles(C)
        s, t = self.slopes.unsqueeze(-1), self.slopes.unsqueeze(-2)
        return s * t + (s * (1 - t) + t * (1 - s)) / 2 + (1 - s) * (1 - t) * (math.pi - angle) / (2 * math.pi)

    def drifts(self, C: Tensor) -> Tensor:
        """C_ik ⟨g''(x_i) g(x_a)⟩ + C_ka ⟨g'(x_i) g'(x_a)⟩, g'' being (1 − s) times Dirac's δ; see the base class."""
        size, angle = _angles(C)
        variance = C.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
        # ⟨δ(x_i) ReLU(x_a)⟩ = √C_aa sin θ / (2π √C_ii), and 0 if a field is constant
        at_zero = torch.where(variance > 0, size * angle.sin() / (2 * math.pi * variance), 0)
        s, t = self.slopes.unsqueeze(-1), self.slopes.unsqueeze(-2)
        curved = (1 - s) * (1 - t) * at_zero  # as the mean of t·x_a is 0 there; [..., i, a]
        return C.unsqueeze(-1) * curved.unsqueeze(-2) + C.unsqueeze(-3) * self.gains(C).unsqueeze(-2)

    def diffusions(self, C: Tensor) -> Tensor:
        """In closed form only for the identity; see the base class."""
        if (self.slopes != 1).any():
            raise InputError(
                "the average ⟨g'(x_i) g'(x_k) g(x_a) g(x_b)⟩ of (leaky) ReLU has no closed form: set small_rate "
                "to true, for the theory of small learning rates without terms of second order"
            )
        return C[..., None, None, :, :].expand(*C.shape, *C.shape[-2:])


class Quadratic(GaussianAverages):
    """g(x) = x²: moments of a Gaussian, by Isserlis' theorem."""

    def products(self, C: Tensor) -> Tensor:
        """C_aa C_bb + 2 C_ab²; see the base class."""
        diagonal = C.diagonal(dim1=-2, dim2=-1)
        return diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2) + 2 * C.square()

    def gains(self, C: Tensor) -> Tensor:
        """4 C_ik; see the base class."""
        return 4 * C

    def drifts(self, C: Tensor) -> Tensor:
        """2 C_ik C_aa + 4 C_ia C_ka; see the base class."""
        of_pair = C.unsqueeze(-1) * C.diagonal(dim1=-2, dim2=-1)[..., None, None, :]
        return 2 * of_pair + 4 * C.unsqueeze(-2) * C.unsqueeze(-3)

    def diffusions(self, C: Tensor) -> Tensor:
        """4 times the sum over the 15 pairings of x_i x_k x_a x_a x_b x_b; see the base class."""
        variances = C.diagonal(dim1=-2, dim2=-1)
        of_others = variances.unsqueeze(-1) * variances.unsqueeze(-2) + 2 * C.square()  # [..., a, b]
        i, k, between = C[..., :, None, :, None], C[..., None, :, :, None], C[..., None, None, :, :]
        i_b, k_b = C[..., :, None, None, :], C[..., None, :, None, :]
        a, b = variances[..., None, None, :, None], variances[..., None, None, None, :]
        crossed = i * (k * b + 2 * k_b * between) + i_b * (k_b * a + 2 * k * between)
        return 4 * (C[..., None, None] * of_others[..., None, None, :, :] + 2 * crossed)


def _angles(C: Tensor) -> tuple[Tensor, Tensor]:
    """√(C_aa C_bb) and the angle between fields a and b, each `[..., n, n]`; the angle to a constant field is π/2."""
    std = C.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    size = std.unsqueeze(-1) * std.unsqueeze(-2)
    return size, torch.where(size > 0, C / size, 0).clamp(-1, 1).acos()
