"""Metrics whose states keep their precision and whose results keep their shape, whatever module they are part of."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from tsl.metrics.functional.precision import accumulation_dtype


class Accumulator(Metric):
    """A metric whose floating-point states are in float64, or float32 on a device that has no float64.

    The Trainer converts a module to its precision, bfloat16 for instance, and all metrics in it with their states.

    What `compute` gives has the shape that it says, for one replicate too: torchmetrics would squeeze a result of a
    single number.
    """

    _shape: torch.Size

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """What torchmetrics makes of `compute`, without the squeezing."""

        @functools.wraps(compute)
        def of_known_shape(*args: Any, **kwargs: Any) -> Any:
            value = compute(*args, **kwargs)
            self._shape = value.shape
            return value

        squeezed = super()._wrap_compute(of_known_shape)

        @functools.wraps(squeezed)
        def unsqueezed(*args: Any, **kwargs: Any) -> Any:
            return squeezed(*args, **kwargs).reshape(self._shape)

        return unsqueezed

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
