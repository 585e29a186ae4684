"""Converts the outputs of two layers to samples of nodes that can be compared.

Every position of a map and every token is a sample. If the positions of the two layers differ, two maps are averaged to
the smaller height and width of both. Other layers are averaged over their positions, so that inputs are the samples.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from tsl.metrics.functional.precision import accumulation_dtype

Grid = tuple[int, ...]
"""The positions of a layer: height and width of a map, the number of tokens, or () for a vector of nodes."""

POOLS: dict[int, Callable[..., Tensor]] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class Place(NamedTuple):
    """One layer of one network.

    Attributes:
        network: The network's name.
        layer: The layer's name.
        nodes: Number of its nodes.
        grid: Its positions.
        node_axis: The axis of its nodes.
    """

    network: str
    layer: str
    nodes: int
    grid: Grid
    node_axis: int


def common_grid(first: Grid, second: Grid) -> Grid:
    """The positions that two layers are compared on.

    >>> common_grid((16, 16), (16, 16)), common_grid((16, 8), (8, 8)), common_grid((197,), (14, 14))
    ((16, 16), (8, 8), ())
    """
    if first == second:
        return first
    if len(first) == len(second) and len(first) in POOLS:
        return tuple(min(sizes) for sizes in zip(first, second, strict=True))
    return ()


def samples_are(place: Place, grid: Grid) -> str:
    """A description of what a sample of a layer is on a grid."""
    if not grid:
        return "inputs, averaged over positions" if place.grid else "inputs"
    size = "×".join(map(str, grid))
    kind = "tokens" if len(grid) == 1 else "positions"
    return f"{size} {kind}" + ("" if place.grid == grid else f", averaged down from {'×'.join(map(str, place.grid))}")


def nodes_of(outputs: Tensor, place: Place, grid: Grid) -> Tensor:
    """A layer's outputs `[B, …]` as `[B, positions, nodes]` on a grid, in float64."""
    outputs = outputs.to(accumulation_dtype(outputs.device))
    if place.grid and grid != place.grid:
        outputs = outputs.movedim(place.node_axis, 1)
        outputs = POOLS[len(grid)](outputs, grid) if grid else outputs.flatten(2).mean(dim=2, keepdim=True)
        return outputs.flatten(2).mT.contiguous()
    return outputs.movedim(place.node_axis, -1).reshape(len(outputs), -1, place.nodes).contiguous()
