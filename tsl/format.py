"""The version of what a run writes, by which an older tsl refuses the files of a newer one."""

from typing import Any

from tsl.errors import InputError

FORMAT = 1
"""Stands in status.json and in checkpoints. It grows when an older tsl would misread what a newer one writes."""

FORMAT_KEY = "tsl_format"


def check_format(content: dict[str, Any], named: str) -> None:
    """Refuse a file of a newer tsl; one without a version is of tsl 0.1.0 or older.

    Raises:
        InputError: If it is newer.
    """
    found = content.get(FORMAT_KEY, 0)
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"{named} was written by a newer tsl (format {found}; this one reads up to {FORMAT}): update tsl"
        )
