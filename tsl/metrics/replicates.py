"""Quantities that every replicate has: gathered over batches, summarised over replicates."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tsl.metrics.accumulator import Accumulator
from tsl.metrics.functional.precision import accumulation_dtype
from tsl.replicates import MOST_SETTINGS


class ReplicateMean(Accumulator):
    """The mean over samples of quantities that every replicate has, such as a loss or one for each node.

    Args:
        shape: Shape of the quantities: `[R]` for one number per replicate, `[R, nodes]` for one number per node.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        dtype = accumulation_dtype(self.device)
        self.add_state("total", torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")

    def update(self, values: Tensor, samples: int = 1) -> None:
        """Add means over `samples` samples each: of the metric's shape, or `[..., *shape]` for several of them."""
        values = values.to(self.total).reshape(-1, *self.total.shape)
        self.total += values.sum(dim=0) * samples
        self.count += len(values) * samples

    def compute(self) -> Tensor:
        """The means, of the metric's shape, float64."""
        return self.total / self.count


class ReplicateMaximum(Accumulator):
    """The maximum over samples of a quantity that every replicate has, such as a gradient's magnitude.

    Args:
        replicates: Number R of replicates.
    """

    full_state_update = False
    maximum: Tensor

    def __init__(self, replicates: int) -> None:
        super().__init__()
        least = torch.full((replicates,), -torch.inf, dtype=accumulation_dtype(self.device))
        self.add_state("maximum", least, dist_reduce_fx="max")

    def update(self, values: Tensor) -> None:
        """Add one value of each replicate, `[R]`."""
        self.maximum = torch.maximum(self.maximum, values.to(self.maximum))

    def compute(self) -> Tensor:
        """The maximum of each replicate, `[R]` float64."""
        return self.maximum


def replicate_scalars(
    name: str, values: Tensor, groups: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Tensor]:
    """The scalars to log for a quantity that every replicate has.

    Args:
        name: Name of the quantity.
        values: Its values, `[R]`.
        groups: The replicates that have the same settings, by the settings that differ, such as "polarity=1"; if none
            are given, all replicates as "".

    Returns:
        The mean over replicates, as `name`, and the standard deviation of several of them, as `<name>_std`. If there
        are several groups, both are returned for each group, as `<name>/<group>` and `<name>_std/<group>`. If there are
        more groups than `tsl.replicates.MOST_SETTINGS`, only the mean over all replicates is returned, as
        `<name>/mean_over_settings`.

    >>> replicate_scalars("val/loss", torch.tensor([1.0, 4.0]), {"polarity=0": [0], "polarity=1": [1]})
    {'val/loss/polarity=0': tensor(1.), 'val/loss/polarity=1': tensor(4.)}
    """
    if groups is not None and len(groups) > MOST_SETTINGS:
        return {f"{name}/mean_over_settings": values[[r for group in groups.values() for r in group]].mean()}
    if not groups:
        groups = {"": range(len(values))}
    scalars = {}
    for label, replicates in groups.items():
        of_group, ending = values[list(replicates)], f"/{label}" if label else ""
        scalars[f"{name}{ending}"] = of_group.mean()
        if len(of_group) > 1:
            scalars[f"{name}_std{ending}"] = of_group.std()
    return scalars
