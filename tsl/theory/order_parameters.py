"""The order parameters of two-layer students: overlaps of the lowest weight vectorsthat theory needs.

Letters: R are the overlaps of student and teacher, as in the literature, so replicates are leading axes here. K student
nodes, M teacher nodes, d input dimension.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Normalization = Literal["fields", "dimension", "none"]
"""How overlaps are scaled; see `order_parameters`."""


class OrderParameters(NamedTuple):
    """Overlaps of the lowest layers' weight vectors, float64.

    Attributes:
        Q: Between student nodes, `[..., K, K]`.
        R: Between student and teacher nodes, `[..., K, M]`.
        T: Between teacher nodes, `[..., M, M]`.
    """

    Q: Tensor
    R: Tensor
    T: Tensor

    @property
    def covariance(self) -> Tensor:
        """The matrix of all overlaps, student nodes before teacher nodes, `[..., K + M, K + M]`.

        Normalized by "fields", it is the covariance of the pre-activations.
        """
        upper, lower = torch.cat([self.Q, self.R], dim=-1), torch.cat([self.R.mT, self.T], dim=-1)
        return torch.cat([upper, lower], dim=-2)


def order_parameters(
    student: Tensor, teacher: Tensor, std: float | Tensor = 1.0, normalization: Normalization = "fields"
) -> OrderParameters:
    """Q = W Wᵀ, R = W W°ᵀ and T = W° W°ᵀ, scaled.

    "fields" multiplies by the inputs' variance: the result is the covariances of the pre-activations w·x of inputs N(0,
    std²), which the theory uses. (Saad & Solla 1995 have weights of size 1 and pre-activations w·x/√d, hence overlaps
    divided by d.) "dimension" divides by d, for networks with such pre-activations. "none" does neither.

    Args:
        student: Lowest weights of the student, `[..., K, d]`.
        teacher: Lowest weights of the teacher, `[..., M, d]`.
        std: Standard deviation of an input coordinate, one or `[...]` for replicates.
        normalization: As above.
    """
    W, W_teacher = student.double(), teacher.double()
    variance = torch.as_tensor(std, dtype=torch.float64).square()[..., None, None]
    scales: dict[str, float | Tensor] = {"fields": variance, "dimension": 1 / student.shape[-1], "none": 1.0}
    scale = scales[normalization]
    return OrderParameters(W @ W.mT * scale, W @ W_teacher.mT * scale, W_teacher @ W_teacher.mT * scale)


def time_alpha(steps: int, batch_size: int, dim: int) -> float:
    """α = steps · batch / d: training samples for each input dimension, the time of online learning."""
    return steps * batch_size / dim
