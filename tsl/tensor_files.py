"""Reading files that torch.save wrote. It is here because networks and runs need it and may not import each other."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from tsl.errors import InputError
from tsl.format import check_format


def read_tensors(path: Path | str, named: str | None = None, keys: Collection[str] = ()) -> Any:
    """Read the tensors and plain values of a file to the CPU; the file's content is never run as code.

    Args:
        path: An existing file.
        named: The file's name in messages, such as the setting that names it; its path if None.
        keys: The keys that a checkpoint of tsl.fit has to hold.

    Raises:
        InputError: If the file is damaged, holds more than tensors and plain values, lacks one of the keys, or is a
            checkpoint of a newer tsl.
    """
    named = str(path) if named is None else named
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no exception class of its own for a file that it cannot read
        raise InputError(f"{named} is damaged, or holds more than tensors: {' '.join(str(error).split())}") from error
    if isinstance(content, dict):
        check_format(content, named)
    if keys and (not isinstance(content, dict) or not content.keys() >= set(keys)):
        raise InputError(f"{named} holds no {', '.join(keys)}: expected a checkpoint that tsl.fit wrote")
    return content
