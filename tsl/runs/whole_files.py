"""Write files whole or not at all, even if the process is killed or the power fails."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsl.errors import CannotWriteError

UNFINISHED = re.compile(r"\.\d+\..+")
"""Names of files that `written_whole` has not finished; the number is the id of its process."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    The content is on the disk before the file gets its name. If it replaces a file, the name is on the disk, too, when
    the block ends. Flushing a new name would take ten times as long, so it waits for the next checkpoint (`flush`).

    Args:
        path: The file to write or replace. Its directory exists.

    Yields:
        A hidden path beside `path` to write to; it replaces `path` when the block ends without an exception.

    Raises:
        CannotWriteError: If the file cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with writing(path):
        replaces = path.exists()
        try:
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            if replaces:
                flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into an error that names the file.

    Raises:
        CannotWriteError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise CannotWriteError(
            f"{path} cannot be written ({reason}): make room, make it writable, or choose another place"
        ) from error


def remove_unfinished(directory: Path) -> None:
    """Remove files below a directory that killed processes left unfinished; no process may be writing there."""
    for folder, _, names in os.walk(directory):
        for name in filter(UNFINISHED.fullmatch, names):
            Path(folder, name).unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file's content, or a directory's names, are on the disk; directories are skipped on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
