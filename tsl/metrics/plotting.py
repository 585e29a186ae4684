"""Pictures of a metric's value: heat maps of matrices, bars of vectors, lines over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Plot = tuple[Figure, Axes]


def plot_value(
    value: Tensor | Sequence[Tensor],
    ax: Axes | None = None,
    *,
    name: str,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Plot:
    """Draw one value of a metric, or a sequence of them.

    Args:
        value: `[..., m, n]` is drawn as a heat map of its mean over the leading axes; `[R]` or a scalar as bars; a
            sequence of scalars or of `[R]` as one line for each entry.
        ax: Axes to draw into; by default those of a new figure.
        name: What the value is called on its axis.
        bounds: Smallest and largest possible value; None for a side without a limit.

    Returns:
        The figure and the axes.

    Raises:
        ValueError: If a sequence of matrices is given.

    Example:
        >>> figure, axes = plot_value(torch.eye(3), name="correlation")
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('student node', 'teacher node')
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if ax is None:
        ax = Figure(layout="constrained").subplots()
    if not isinstance(value, Tensor):
        _lines(value, ax, name)
        ax.set_ylim(*bounds)
    elif value.ndim < 2:
        heights = value.detach().cpu().reshape(-1)
        ax.bar(range(1, len(heights) + 1), heights.tolist())
        ax.set(xlabel="replicate", ylabel=name, ylim=bounds)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        _heat_map(value, ax, name, bounds)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure, ax


def _heat_map(value: Tensor, ax: Axes, name: str, bounds: tuple[float | None, float | None]) -> None:
    from matplotlib.ticker import MaxNLocator

    matrix = value.detach().double().cpu().flatten(0, -3).mean(dim=0) if value.ndim > 2 else value.detach().cpu()
    low, high = bounds
    colours = "RdBu_r" if low is not None and low < 0 else "viridis"
    m, n = matrix.shape
    image = ax.imshow(
        matrix.numpy(), aspect="auto", cmap=colours, vmin=low, vmax=high, extent=(0.5, n + 0.5, m + 0.5, 0.5)
    )
    ax.set(xlabel="student node", ylabel="teacher node")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    replicates = value.shape[:-2].numel()
    label = f"{name}, mean over {replicates} replicates" if replicates > 1 else name
    ax.figure.colorbar(image, ax=ax, label=label)


def _lines(values: Sequence[Tensor], ax: Axes, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    course = torch.stack([value.detach().cpu() for value in values])
    if course.ndim > 2:
        raise ValueError(f"expected scalars or [R] to draw lines over steps, got values {list(course.shape[1:])}")
    ax.plot(range(1, len(course) + 1), course.numpy(), marker="o")
    ax.set(xlabel="step", ylabel=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
