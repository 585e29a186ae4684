"""Settings that may differ between replicates."""

from collections.abc import Sequence
from typing import TypeVar

from tsl.errors import InputError

T = TypeVar("T")


def per_replicate(value: T | Sequence[T], replicates: int, key: str) -> list[T]:
    """One value for each replicate, from one for all or from a list that repeats along the replicates.

    Args:
        value: A value, or a list of them: replicate r has value[r % len(value)].
        replicates: Number R of replicates.
        key: The setting's name, for the message.

    Raises:
        InputError: If the replicates are no multiple of a list's length.
    """
    values = list(value) if isinstance(value, Sequence) else [value]
    if not values or replicates % len(values):
        raise InputError(
            f"{key} lists {len(values)} values for {replicates} replicates: give one value, or a list whose length "
            "divides the number of replicates"
        )
    return values * (replicates // len(values))
