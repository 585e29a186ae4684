"""What a run was computed with: the commit of this source tree, and the versions of the packages it needs."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """The environment of this process, as plain values.

    Returns:
        `python`; `packages`, the installed version of tsl and of every package that it requires; and, where tsl lies in
        a git repository, `git_commit` and `git_changes`: whether tracked files differ from that commit.
    """
    found: dict[str, Any] = {"python": platform.python_version(), "packages": package_versions()}
    commit = _git("rev-parse", "HEAD")
    if commit is not None:
        found |= {"git_commit": commit, "git_changes": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    return found


def package_versions() -> dict[str, str]:
    """The installed version of tsl and of every package that it cannot do without."""
    required = [line for line in metadata.requires("tsl") or [] if "extra ==" not in line]
    names = ["tsl", *(re.match(r"[\w.-]+", line)[0] for line in required)]  # type: ignore[index]
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # training goes on without some of them
            versions[name] = "not installed"
    return versions


def _git(*arguments: str) -> str | None:
    """What git says about the directory of this file; None outside a repository, or without git."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
