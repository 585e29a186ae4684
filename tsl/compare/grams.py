"""Minibatch CKA of all pairs of layers: each input's whole output is one vector, and only products are stored.

A layer's output for B inputs is flattened to B vectors of any length, and only their B × B products are used. A layer
with far more features than inputs therefore costs no more than its own size. Letters: L layers, B inputs of a block, N
inputs in all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tsl.compare.blocks import GROUPS
from tsl.metrics.functional.cross_moments import CONSTANT
from tsl.metrics.functional.linear_cka import alignment


class PairedGrams:
    """The unbiased estimates of HSIC of the layers of two networks, summed over the blocks of each group.

    Args:
        first: Number of layers of the first network.
        second: Number of layers of the second network.
        device: Device of the sums.
    """

    def __init__(self, first: int, second: int, device: torch.device) -> None:
        self.cross, self.null = torch.zeros(2, GROUPS, first, second, dtype=torch.float64, device=device)
        self.first = torch.zeros(GROUPS, first, dtype=torch.float64, device=device)
        self.second = torch.zeros(GROUPS, second, dtype=torch.float64, device=device)

    def add(self, group: int, first: Tensor, second: Tensor) -> None:
        """Add one block's `centred_grams`, `[L, B, B]` of each network; blocks are weighted by their inputs."""
        inputs = first.shape[1]
        shifted = second.roll((inputs // 2, inputs // 2), dims=(1, 2))
        first, second, shifted = (grams.flatten(1) for grams in (first, second, shifted))
        weight = 1 / (inputs - 3)  # of the mean over blocks; HSIC's own factor is 1 / (B(B − 3))
        self.cross[group] += weight * first @ second.mT
        self.null[group] += weight * first @ shifted.mT
        self.first[group] += weight * first.square().sum(dim=1)
        self.second[group] += weight * second.square().sum(dim=1)

    def values(self, without: int | None = None, null: bool = False) -> Tensor:
        """CKA of each pair of layers over all groups but one, `[L, L]`; 0 if a layer is constant."""
        kept = [group for group in range(GROUPS) if group != without]
        cross = (self.null if null else self.cross)[kept].sum(dim=0)
        return alignment(cross, self.first[kept].sum(dim=0).unsqueeze(1), self.second[kept].sum(dim=0).unsqueeze(0))


def centred_grams(outputs: Sequence[Tensor]) -> Tensor:
    """The U-centred products of each layer's outputs `[B, …]`, `[L, B, B]` in float64.

    For products K with a diagonal of 0 and sums of rows r, the result is K_ij − (r_i + r_j)/(B−2) + Σr/((B−1)(B−2)) off
    the diagonal. The sum over i and j of the product of two layers' results, divided by B(B−3), is the unbiased
    estimate of HSIC. The result is 0 for a layer that is constant except for rounding.

    Source: Székely and Rizzo 2014, "Partial distance correlation with methods for dissimilarities"; Nguyen et al. 2021
    for its mean over minibatches.
    """
    return torch.stack([_centred(values.flatten(1)) for values in outputs])


def _centred(vectors: Tensor) -> Tensor:
    number = len(vectors)
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    mean = vectors.mean(dim=0)
    vectors = vectors - mean
    products = (vectors @ vectors.mT).double()
    rounding = CONSTANT * torch.finfo(vectors.dtype).eps
    if products.trace() <= number * rounding**2 * mean.double().square().sum():
        return torch.zeros_like(products)
    products.fill_diagonal_(0)
    rows = products.sum(dim=1) / (number - 2)
    centred = products - rows.unsqueeze(0) - rows.unsqueeze(1) + rows.sum() / (number - 1)
    return centred.fill_diagonal_(0)
