"""Sums over samples of layers and of pairs of layers, separate for groups of inputs, so that a group can be left out.

A shift, the mean of the first block, is subtracted from all samples. The sums of blocks can therefore be added, and no
precision is lost if a mean is far larger than its spread. Letters as in `tsl.metrics`; a = ‖t‖² and b = ‖s‖² of each
sample after the shift.
"""

import torch
from torch import Tensor

from tsl.compare.blocks import GROUPS
from tsl.metrics.functional.cross_moments import CrossMoments
from tsl.metrics.functional.debiased_linear_cka import NormMoments


class GroupedSum:
    """A sum over all groups, in float64, and the sum of each group, in float32, which only intervals need.

    Args:
        apart: Whether to store the sum of each group.
    """

    def __init__(self, apart: bool = True) -> None:
        self.apart = apart
        self.total: Tensor | None = None
        self.groups: Tensor

    def add(self, group: int, value: Tensor) -> None:
        """Add to a group."""
        if self.total is None:
            self.total = torch.zeros_like(value)
            self.groups = value.new_zeros(GROUPS * self.apart, *value.shape, dtype=torch.float32)
        self.total += value
        if self.apart:
            self.groups[group] += value

    def without(self, group: int | None) -> Tensor:
        """The sum of all groups but one, or of all if None."""
        assert self.total is not None
        return self.total if group is None else self.total - self.groups[group]


class LayerSums:
    """Sums over one layer's samples on one grid.

    Args:
        full: Whether to sum the products of its nodes with each other too, and what debiased CKA needs.
    """

    def __init__(self, full: bool) -> None:
        self.full = full
        self.counts = [0] * GROUPS
        self.shift: Tensor | None = None
        self.nodes, self.squares, self.length, self.length_squared = (GroupedSum() for _ in range(4))
        self.length_nodes = GroupedSum()
        self.resolution = 0.0

    def add(self, group: int, samples: Tensor, resolution: float) -> Tensor:
        """Add samples `[samples, nodes]`, which are changed in place.

        Returns:
            The samples minus the shift.
        """
        if self.shift is None:
            self.shift = samples.mean(dim=0)
        samples -= self.shift
        self.resolution = max(self.resolution, resolution)
        self.counts[group] += len(samples)
        self.nodes.add(group, samples.sum(dim=0))
        if self.full:
            length = samples.square().sum(dim=1)
            self.squares.add(group, samples.mT @ samples)
            self.length.add(group, length.sum())
            self.length_squared.add(group, length @ length)
            self.length_nodes.add(group, length @ samples)
        else:
            self.squares.add(group, samples.square().sum(dim=0))
        return samples

    def count(self, without: int | None) -> int:
        """The number of samples in all groups but one."""
        return sum(self.counts) - (0 if without is None else self.counts[without])


class PairSums:
    """Sums over the products of two layers' samples.

    Args:
        full: Whether to sum what debiased CKA needs too.
        apart: Whether to store the sum of each group.
    """

    def __init__(self, full: bool, apart: bool) -> None:
        self.full = full
        self.products, self.lengths, self.t_by_b, self.s_by_a = (GroupedSum(apart) for _ in range(4))

    def add(self, group: int, t: Tensor, s: Tensor) -> None:
        """Add samples `[samples, m]` and `[samples, n]`, each minus its layer's shift."""
        self.products.add(group, t.mT @ s)
        if self.full:
            a, b = t.square().sum(dim=1), s.square().sum(dim=1)
            self.lengths.add(group, a @ b)
            self.t_by_b.add(group, b @ t)
            self.s_by_a.add(group, a @ s)


def cross_moments_of(t: LayerSums, s: LayerSums, pair: PairSums, without: int | None = None) -> CrossMoments:
    """The moments, about their means, of all samples except those of one group."""
    count = t.count(without)
    mean_t, mean_s = (layer.nodes.without(without) / count for layer in (t, s))
    scatter_t, scatter_s = (
        layer.squares.without(without) - count * (torch.outer(mean, mean) if layer.full else mean.square())
        for layer, mean in ((t, mean_t), (s, mean_s))
    )
    cross = pair.products.without(without).addr(mean_t, mean_s, alpha=-count)
    assert t.shift is not None
    assert s.shift is not None
    resolution = max(t.resolution, s.resolution)
    return CrossMoments(
        *(cross.new_tensor(count), cross.new_tensor(resolution)),
        *(t.shift + mean_t, s.shift + mean_s),
        *(scatter_t, scatter_s, cross),
    )


def norm_moments_of(t: LayerSums, s: LayerSums, pair: PairSums, without: int | None = None) -> NormMoments:
    """The moments of squared lengths about the means that debiased CKA needs; the other fields are empty.

    With μ the mean after the shift, ‖t − μ‖² = a − 2μ·t + ‖μ‖², and products of two such are multiplied out.
    """
    count = t.count(without)

    def product(
        mean_t: Tensor, mean_s: Tensor, total_a: Tensor, total_b: Tensor, cross: Tensor, rest: tuple[Tensor, ...]
    ) -> Tensor:
        lengths, t_by_b, s_by_a = rest
        norm_t, norm_s = mean_t @ mean_t, mean_s @ mean_s
        return (
            lengths
            - 2 * (mean_s @ s_by_a + mean_t @ t_by_b)
            + 4 * mean_t @ cross @ mean_s
            + norm_s * total_a
            + norm_t * total_b
            - 3 * count * norm_t * norm_s
        )

    mean_t, mean_s = (layer.nodes.without(without) / count for layer in (t, s))
    total_a, total_b = (layer.length.without(without) for layer in (t, s))
    own = [
        product(
            mean,
            mean,
            total,
            total,
            layer.squares.without(without),
            (layer.length_squared.without(without), *[layer.length_nodes.without(without)] * 2),
        )
        for layer, mean, total in ((t, mean_t, total_a), (s, mean_s, total_b))
    ]
    rest = tuple(part.without(without) for part in (pair.lengths, pair.t_by_b, pair.s_by_a))
    cross = product(mean_t, mean_s, total_a, total_b, pair.products.without(without), rest)
    empty = cross.new_empty(0)
    return NormMoments(own[0], cross, own[1], empty, empty, empty, empty)
