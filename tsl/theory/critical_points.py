"""The kind of a critical point of a loss, from the eigenvalues of its Hessian.

Letters: p parameters in one vector, s directions in which the loss is known to be flat.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigvalsh, null_space, orth
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
"""From the parameters `[p]` to the loss, a number."""

Kind = Literal["minimum", "saddle", "flat", "kink", "not critical"]

ZERO = 1e-6
"""Eigenvalues up to this fraction of the largest count as zero: a gradient norm of 1e-10 leaves their sign open."""

ZERO_OF_LANCZOS = 1e-4
"""The same for eigenvalues from Lanczos' method, which resolves no smaller ones in a few hundred steps."""

AT_ENDS = 8
"""Number of smallest eigenvalues that Lanczos' method finds."""

COLUMNS = 32
"""Columns of a Hessian that are computed at a time; this affects only memory."""


class Spectrum(NamedTuple):
    """Eigenvalues of a Hessian on the space orthogonal to known flat directions.

    Attributes:
        values: In ascending order: all of them, or the `AT_ENDS` smallest and the one of the largest magnitude.
        complete: Whether they are all.
    """

    values: NDArray[np.float64]
    complete: bool

    @property
    def scale(self) -> float:
        """The largest magnitude."""
        return float(np.abs(self.values).max(initial=0))

    @property
    def resolution(self) -> float:
        """The magnitude up to which eigenvalues count as zero."""
        return self.scale * (ZERO if self.complete else ZERO_OF_LANCZOS)

    @property
    def negative(self) -> int:
        """How many are negative; a lower bound if not complete."""
        return int((self.values < -self.resolution).sum())

    @property
    def zero(self) -> int:
        """How many are zero; a lower bound if not complete."""
        return int((np.abs(self.values) <= self.resolution).sum())


def hessian(loss: Loss, at: Tensor) -> Tensor:
    """The second derivatives of a loss, `[p, p]`, column by column.

    Args:
        loss: Twice differentiable.
        at: The parameters, `[p]`.
    """
    product = hessian_product(loss, at)
    columns = torch.eye(len(at), dtype=at.dtype).split(COLUMNS)
    return torch.cat([torch.func.vmap(product)(some) for some in columns])


def hessian_product(loss: Loss, at: Tensor) -> Callable[[Tensor], Tensor]:
    """The Hessian times a vector `[p]`, as a function of the vector."""
    by_gradient: Any = torch.func.vjp(torch.func.grad(loss), at)[1]
    return lambda vector: by_gradient(vector)[0]  # the Hessian is symmetric


def spectrum(loss: Loss, at: Tensor, symmetries: Tensor, full: int = 2000) -> Spectrum:
    """The Hessian's eigenvalues on the space orthogonal to known flat directions.

    Args:
        loss: Twice differentiable.
        at: The parameters, `[p]` float64.
        symmetries: Directions in which the loss is flat at a critical point, `[s, p]`.
        full: Largest number of parameters for which all eigenvalues are computed, from the whole Hessian. For more
            parameters, Lanczos' method finds those at the ends, from products with vectors: the smallest one most
            accurately, the others to a thousandth of the largest magnitude. It may find fewer of several equal ones.
    """
    if len(at) <= full:
        others = null_space(symmetries.numpy()) if len(symmetries) else np.eye(len(at))
        return Spectrum(eigvalsh(others.T @ hessian(loss, at).numpy() @ others), complete=True)
    flat = orth(symmetries.numpy().T)
    product = hessian_product(loss, at)

    def beside(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return vector - flat @ (flat.T @ vector)

    def reduced(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return beside(product(torch.from_numpy(beside(vector.ravel()))).numpy())

    shape, start = (len(at), len(at)), np.random.default_rng(0).normal(size=len(at))
    (extreme,) = eigsh(LinearOperator(shape, reduced), k=1, v0=start, tol=1e-3, return_eigenvectors=False)
    # The largest eigenvalues of s − H, because the tolerance is relative: too strict for eigenvalues of H near 0.
    shift = abs(extreme)
    turned = LinearOperator(shape, lambda vector: shift * beside(vector.ravel()) - reduced(vector))
    vectors = min(64, len(at) - 1)
    found = eigsh(turned, k=AT_ENDS, which="LA", v0=start, ncv=vectors, tol=1e-3, return_eigenvectors=False)
    largest = [extreme] if extreme > 0 else []  # a negative one is among the smallest
    return Spectrum(np.sort(np.append(shift - found, largest)), complete=False)


def critical_kind(found: Spectrum, gradient_norm: float, tolerance: float, at_kink: bool = False) -> Kind:
    """Whether a point is a minimum, a saddle, or flat in more than the known directions.

    Args:
        found: Its Hessian's eigenvalues.
        gradient_norm: The norm of its gradient.
        tolerance: The norm up to which a point counts as critical.
        at_kink: Whether the gradient jumps at the point, which may then be a minimum although the gradient is not 0.
    """
    if gradient_norm > tolerance:
        return "kink" if at_kink else "not critical"
    if found.negative:
        return "saddle"
    return "flat" if found.zero else "minimum"
