"""Quantities of which every replicate has one: gathered over batches, summarised over replicates."""

import torch
from torch import Tensor

from tsl.metrics.accumulator import Accumulator
from tsl.metrics.functional.precision import accumulation_dtype


class ReplicateMean(Accumulator):
    """The mean over samples of quantities that every replicate has, such as a loss or one for each node.

    Args:
        shape: Shape of the quantities: `[R]` for one of each of R replicates, `[R, nodes]` for one of each node.
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
        """Take in one value of each replicate, `[R]`."""
        self.maximum = torch.maximum(self.maximum, values.to(self.maximum))

    def compute(self) -> Tensor:
        """The maximum of each replicate, `[R]` float64."""
        return self.maximum


def replicate_scalars(name: str, values: Tensor) -> dict[str, Tensor]:
    """What is logged of a quantity `[R]`: its mean over replicates and, of several, their standard deviation."""
    scalars = {name: values.mean()}
    if len(values) > 1:
        scalars[f"{name}_std"] = values.std()
    return scalars
