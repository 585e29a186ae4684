"""The software that a run uses: the commit of this source tree, and the versions of the packages it needs."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from tsl import __version__

DISTRIBUTION = "teacher-student-lightning"
"""The name of tsl's distribution."""


def environment() -> dict[str, Any]:
    """The environment of this process, as plain values.

    Returns:
        `python`; `packages`, the installed version of tsl and of every package that it requires; and, if tsl is part
        of a git repository, `git_commit` and `git_changes`: whether tracked files differ from that commit.
    """
    found: dict[str, Any] = {"python": platform.python_version(), "packages": package_versions()}
    commit = _git("rev-parse", "HEAD")
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)  # fails for an environment inside a repository
    if commit is not None and tracked is not None:
        found |= {"git_commit": commit, "git_changes": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    return found


def package_versions() -> dict[str, str]:
    """The version of tsl, and of every package that it requires."""
    versions = {DISTRIBUTION: __version__}
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout on Python's path that was not installed
        return versions
    required = [line for line in requirements if "extra ==" not in line]
    for name in (re.match(r"[\w.-]+", line)[0] for line in required):  # type: ignore[index]
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # training works without some of them
            versions[name] = "not installed"
    return versions


def _git(*arguments: str) -> str | None:
    """The output of git in the directory of this file; None outside a repository, or without git."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
