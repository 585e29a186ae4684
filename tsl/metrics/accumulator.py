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

    The Trainer converts a module to its own precision, such as bfloat16, and with it the states of ordinary metrics.

    The result of `compute` keeps its shape `[R, ...]` for one replicate too; torchmetrics would squeeze a single
    number.
    """

    _shape: torch.Size

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `compute` as torchmetrics does, but do not squeeze the result."""

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
        """Apply `fn`, such as a move to another device, but keep the precision of the states."""
        device = fn(torch.empty(0, device=self.device)).device

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, accumulation_dtype(device) if tensor.is_floating_point() else tensor.dtype)

        defaults: dict[str, Any] = self._defaults
        for name, default in defaults.items():
            if isinstance(default, Tensor):
                defaults[name] = moved(default)
        return super()._apply(moved, exclude_state)
