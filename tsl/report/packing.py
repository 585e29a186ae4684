"""Arrays as the page carries them: raw bytes in base64, of as many epochs and replicates as there is room for."""

import base64
from typing import Any

import numpy as np

FEWEST_EPOCHS = 8
"""Replicates are left out before fewer epochs than these are kept."""


def packed(values: Any, kind: str = "float32") -> dict[str, str]:
    """An array for page/decode.js.

    Args:
        values: Numbers, which lose their shape.
        kind: "float32", "uint16", or "correlation": numbers from -1 to 1 or NaN, in steps of 3e-5.

    Returns:
        `kind`, and the numbers as `bytes`, lowest byte first.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if kind == "correlation":
        stored = np.where(np.isnan(array), -32768, np.clip(array, -1, 1) * 32767).round().astype("<i2")
    else:
        stored = array.astype({"float32": "<f4", "uint16": "<u2"}[kind])
    return {"kind": kind, "bytes": base64.b64encode(stored.tobytes()).decode("ascii")}


def room(epochs: int, replicates: int, size: int, budget: float) -> tuple[int, int]:
    """How many epochs and replicates to keep.

    Args:
        epochs: Epochs recorded.
        replicates: Replicates recorded.
        size: Bytes of one epoch of one replicate.
        budget: Bytes there are for all of them.

    Returns:
        Epochs, at least the first and the last, and replicates, at least one.
    """
    slices = int(budget) // max(size, 1)
    kept = min(replicates, max(1, slices // min(epochs, FEWEST_EPOCHS)))
    return min(epochs, max(2, slices // kept)), kept


def spread(items: list[int], most: int) -> list[int]:
    """At most so many of the items, the first and the last among them, denser at the beginning.

    >>> spread(list(range(101)), 6)
    [0, 4, 16, 36, 64, 100]
    """
    if len(items) <= most:
        return items
    squares = (np.linspace(0, 1, most) ** 2 * (len(items) - 1)).round().astype(int)
    return [items[index] for index in np.maximum(squares, np.arange(most))]
