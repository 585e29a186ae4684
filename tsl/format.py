"""The version of the files that a run writes; with it, an older tsl can refuse the files of a newer one."""

from typing import Any

from tsl.errors import InputError

FORMAT = 1
"""The version that this tsl writes to status.json and checkpoints; raised when an older tsl would misread new files."""

FORMAT_KEY = "tsl_format"


def check_format(content: dict[str, Any], named: str) -> None:
    """Refuse a file that a newer tsl wrote. A file without a version was written by tsl 0.1.0 or older.

    Raises:
        InputError: If the file is of a newer version.
    """
    found = content.get(FORMAT_KEY, 0)
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"{named} was written by a newer tsl (format {found}; this one reads up to {FORMAT}): update tsl"
        )
