import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tsl.runs import environment as module
from tsl.runs.environment import environment


def test_it_names_the_commit_and_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    source = tmp_path / "module.py"
    monkeypatch.setattr(module, "__file__", str(source))
    assert "git_commit" not in environment()
    git("init", "-q")
    source.write_text("a")
    git("add", ".")
    git("commit", "-qm", "first")
    assert (environment()["git_commit"], environment()["git_changes"]) == (git("rev-parse", "HEAD"), False)
    source.write_text("b")
    assert environment()["git_changes"]


def test_it_names_the_versions_of_what_tsl_requires() -> None:
    packages = environment()["packages"]
    assert {"tsl", "torch", "pytorch-lightning", "wandb", "pandas"} <= packages.keys()
    assert "pytest" not in packages
    assert packages["torch"] == version("torch")
