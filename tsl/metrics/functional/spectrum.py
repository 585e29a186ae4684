"""Eigen- and singular values, and the directions of a layer that are more than rounding."""

import torch
from torch import Tensor

RANK = 4096
"""Directions are rounding if their variance is at most this many machine epsilons times the largest (spread 1e-6)."""


def whitening(scatter: Tensor, variance: float = 1.0) -> tuple[Tensor, Tensor]:
    """A linear map that makes a layer white on its leading principal directions, and drops the others.

    Args:
        scatter: Σ (s − s̄)(s − s̄)ᵀ, `[..., n, n]`.
        variance: The share of the variance to keep; the directions are the fewest that have it.

    Returns:
        W with Wᵀ·scatter·W = the identity on the kept directions and 0 on the others, `[..., n, n]`, and how many are
        kept, `[...]`. Directions whose variance is rounding are never kept. Cost: one eigendecomposition.

    Example:
        >>> whitener, rank = whitening(torch.diag(torch.tensor([4.0, 0.0, 1.0], dtype=torch.float64)))
        >>> whitener.abs().amax(dim=-1), rank
        (tensor([0.5000, 0.0000, 1.0000], dtype=torch.float64), tensor(2))
    """
    values, vectors = eigh(scatter)  # ascending
    values, vectors = values.flip(-1).clamp(min=0), vectors.flip(-1)
    before = values.cumsum(dim=-1) - values
    keep = values > RANK * torch.finfo(values.dtype).eps * values[..., :1]
    keep &= before < variance * values.sum(dim=-1, keepdim=True)
    scale = values.where(keep, 1).rsqrt().where(keep, 0)
    return vectors * scale.unsqueeze(-2), keep.sum(dim=-1)


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors; on the CPU if the device cannot compute them."""
    values, vectors = torch.linalg.eigh(_decomposable(matrix))
    return values.to(matrix.device), vectors.to(matrix.device)


def svd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors and singular values, descending; on the CPU if the device cannot compute them."""
    vectors, values, _ = torch.linalg.svd(_decomposable(matrix), full_matrices=False)
    return vectors.to(matrix.device), values.to(matrix.device)


def svdvals(matrix: Tensor) -> Tensor:
    """Singular values, descending; on the CPU if the device cannot compute them."""
    return torch.linalg.svdvals(_decomposable(matrix)).to(matrix.device)


def _decomposable(matrix: Tensor) -> Tensor:
    """The matrices, with zeros in place of those that are not finite, because LAPACK fails on them."""
    matrix = matrix.cpu() if matrix.device.type == "mps" else matrix
    return matrix.where(matrix.isfinite().all(dim=-1).all(dim=-1)[..., None, None], 0)
