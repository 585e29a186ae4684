"""Arrays in the form of the page: raw bytes in base64, of as many epochs and replicates as fit into the file."""

import base64
from typing import Any

import numpy as np

FEWEST_EPOCHS = 8
"""The number of epochs below which replicates are left out rather than further epochs."""


def packed(values: Any, kind: str = "float32") -> dict[str, str]:
    """An array for page/decode.js.

    Args:
        values: Numbers; their shape is not kept.
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
    """The numbers of epochs and replicates to keep.

    Args:
        epochs: Number of recorded epochs.
        replicates: Number of recorded replicates.
        size: Bytes of one epoch of one replicate.
        budget: Bytes that all of them together may take.

    Returns:
        The number of epochs, at least two (or one if only one is recorded), and of replicates, at least one.
    """
    slices = int(budget) // max(size, 1)
    kept = min(replicates, max(1, slices // min(epochs, FEWEST_EPOCHS)))
    return min(epochs, max(2, slices // kept)), kept


def spread(items: list[int], most: int) -> list[int]:
    """At most `most` of the items, with the first and the last, denser at the beginning.

    >>> spread(list(range(101)), 6)
    [0, 4, 16, 36, 64, 100]
    """
    if len(items) <= most:
        return items
    squares = (np.linspace(0, 1, most) ** 2 * (len(items) - 1)).round().astype(int)
    return [items[index] for index in np.maximum(squares, np.arange(most))]
