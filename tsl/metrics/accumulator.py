"""Metrics whose states keep their precision, whatever the module that they are part of is converted to."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from tsl.metrics.functional.precision import accumulation_dtype


class Accumulator(Metric):
    """A metric whose floating-point states are in float64, or float32 on a device that has no float64.

    The Trainer converts a module to its precision, bfloat16 for instance, and all metrics in it with their states.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow `fn` to another device, but to no other precision."""
        device = fn(torch.empty(0, device=self.device)).device

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, accumulation_dtype(device) if tensor.is_floating_point() else tensor.dtype)

        defaults: dict[str, Any] = self._defaults
        for name, default in defaults.items():
            if isinstance(default, Tensor):
                defaults[name] = moved(default)
        return super()._apply(moved, exclude_state)
