"""What the project says of itself where it is built, installed and cited."""

import re
import tomllib

import pytest
import yaml

import tsl
from tests.fitting import ROOT
from tsl.runs.environment import DISTRIBUTION

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("tsl", "configs", "docs", "benchmarks", "scripts", ".ci", ".github")
PATHS = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
TEXTS = {
    path: path.read_text()
    for path in PATHS
    if path.is_file() and not {".png", "__pycache__"} & {path.suffix, path.parent.name}
}
OF_A_STRANGER = re.compile(
    r"pip3? install (-\S+ +)*['\"]?tsl\b|\btsl\[\w|(requires|version|distribution)\(['\"]tsl['\"]\)"
)
"""The old name where it means a distribution, which on the public index is somebody else's."""


def test_nobody_is_told_to_install_a_strangers_package() -> None:
    assert {ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/how_to/wandb.md", ".ci/run")} <= TEXTS.keys()
    assert not [(path, found[0]) for path, text in TEXTS.items() if (found := OF_A_STRANGER.search(text))]


@pytest.mark.parametrize("line", ["pip install 'tsl[dashboard]'", "pip install -U tsl", 'metadata.requires("tsl")'])
def test_the_old_name_would_be_seen(line: str) -> None:
    assert OF_A_STRANGER.search(line)


def test_one_name_and_one_version() -> None:
    assert PYPROJECT["project"]["name"] == DISTRIBUTION == "teacher-student-lightning"
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == tsl.__version__


def test_one_least_version_of_python() -> None:
    least = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert PYPROJECT["tool"]["mypy"]["python_version"] == least
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{least.replace('.', '')}"
    assert f"Python {least} or later" in (ROOT / "README.md").read_text()


def test_every_extra_that_a_message_names_is_there() -> None:
    named = {extra for text in TEXTS.values() for extra in re.findall(rf"{DISTRIBUTION}\[(\w+)\]", text)}
    assert named
    assert named <= PYPROJECT["project"]["optional-dependencies"].keys()
