import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import tsl
from tsl.runs import environment as module
from tsl.runs.environment import DISTRIBUTION, environment


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
    (tmp_path / "other").touch()
    git("add", "other")
    git("commit", "-qm", "of a project that has an environment with tsl in it")
    assert "git_commit" not in environment()
    git("add", ".")
    git("commit", "-qm", "first")
    assert (environment()["git_commit"], environment()["git_changes"]) == (git("rev-parse", "HEAD"), False)
    source.write_text("b")
    assert environment()["git_changes"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed tsl that requires torch, and pytest for its tests."""
    directory = tmp_path / "teacher_student_lightning-0.0.1.dist-info"
    directory.mkdir()
    (directory / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {DISTRIBUTION}\nVersion: 0.0.1\nRequires-Dist: torch>=2\n"
        "Requires-Dist: no-such-package[extra]<3\nRequires-Dist: pytest; extra == 'dev'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_it_names_the_versions_of_what_tsl_requires() -> None:
    expected = {DISTRIBUTION: tsl.__version__, "torch": version("torch"), "no-such-package": "not installed"}
    assert environment()["packages"] == expected


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISTRIBUTION", "no-such-distribution")
    assert environment()["packages"] == {"no-such-distribution": tsl.__version__}
