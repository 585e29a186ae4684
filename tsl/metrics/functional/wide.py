"""Reduces layers of more nodes than samples, such as flattened maps, to as many nodes as samples."""

import torch
from torch import Tensor

from tsl.metrics.functional.activations import check_activations
from tsl.metrics.functional.cross_moments import CONSTANT, CrossMoments, cross_moments
from tsl.metrics.functional.precision import accumulation_dtype


def narrowed(activations: Tensor) -> Tensor:
    """A layer of more nodes than samples, rotated into as many nodes as samples; any other layer as it is.

    T = L Q with orthonormal rows Q, so L Lᵀ = T Tᵀ: the samples have the same products, and everything that is
    invariant to rotation is the same for L [samples, samples] as for T [samples, m], at samples² · m multiplications
    and without any m × m matrix.

    Args:
        activations: T, `[..., samples, m]`, floating point.

    Returns:
        L, float64, of centred nodes; nodes that are constant except for rounding are left out.

    Example:
        >>> layer = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
        >>> rotated = narrowed(layer)
        >>> rotated.shape, round((rotated @ rotated.mT)[0, 0].item(), 4)
        (torch.Size([2, 2]), 0.5)
    """
    samples, nodes = activations.shape[-2:]
    if not 0 < samples < nodes:
        return activations
    precise = activations.to(accumulation_dtype(activations.device))
    mean = precise.mean(dim=-2, keepdim=True)
    centred = precise - mean
    rounding = CONSTANT * torch.finfo(activations.dtype).eps * mean.abs()
    constant = centred.square().mean(dim=-2, keepdim=True) <= rounding.square()
    return torch.linalg.qr(centred.masked_fill_(constant, 0).mT, mode="r").R.mT


def narrowed_moments(teacher: Tensor, student: Tensor) -> CrossMoments:
    """The moments of `[..., samples, m]` and `[..., samples, n]` after wide layers are `narrowed`.

    Raises:
        ValueError: If the activations cannot be compared.
    """
    check_activations(teacher, student)
    return cross_moments(narrowed(teacher), narrowed(student), full=True)
