"""The precision in which statistics accumulate, and what counts as rounding."""

import torch
from torch import Tensor

ROUNDING = 512
"""Normalized values within this many machine epsilons of 1 count as 1: the difference is the rounding of a long sum."""


def accumulation_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device that has no float64 (Apple's MPS).

    Example:
        >>> accumulation_dtype(torch.device("cpu"))
        torch.float64
        >>> accumulation_dtype(torch.device("mps"))
        torch.float32
    """
    return torch.float32 if device.type == "mps" else torch.float64


def clamp_to_one(value: Tensor) -> Tensor:
    """Clamp a value that lies in [−1, 1] up to rounding, and make values within rounding of 1 exactly 1.

    Example:
        >>> clamp_to_one(torch.tensor([1 + 1e-15, 1 - 1e-14, 0.9, -1 - 1e-15], dtype=torch.float64)).tolist()
        [1.0, 1.0, 0.9, -1.0]
    """
    is_one = value.abs() > 1 - ROUNDING * torch.finfo(value.dtype).eps
    return torch.where(is_one, value.sign() + 0 * value, value)  # an infinite value becomes NaN, not 1
