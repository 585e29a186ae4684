"""Every command and snippet of README.md and of the how-to pages, run in order at tiny size."""

import re
import shlex
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml

from tests.fitting import ROOT
from tsl.configs import main as configs
from tsl.figures.__main__ import main as draw
from tsl.fit import main as fit
from tsl.report.__main__ import main as report
from tsl.runs.listing import main as list_runs

COMMANDS = {"tsl.configs": configs, "tsl.figures": draw, "tsl.report": report, "tsl.runs": list_runs}

RUN_ELSEWHERE = (
    "make ",  # .ci/run
    "source ",
    "tsl sweep",  # docs/tutorials/a_sweep_and_its_figure.md
    "tsl figures success-rate runs/widths",
    "tsl report runs/widths",
    "tsl fit --config two_layer.yaml --version divided",  # tests/test_processes.py
    "ray ",  # tests/experiments/test_launchers.py
    "RAY_ADDRESS",
    "tsl runs runs/widths",
    "tsl reproduce",  # tests/experiments/test_reproduce.py
    "WANDB_MODE=offline",  # tests/wandb/test_loggers.py
    "tsl fit --config multilayer.yaml",  # tests/test_configs.py
    "tsl fit --config cifar10/",  # tests/test_configs.py
    "tsl fit --config images/",  # tests/modules/test_distillation_config.py
    "tsl compare",  # tests/compare/test_command_line.py
    "tsl polish",  # tests/experiments/
    "tsl fit --config certificate.yaml",
    "tsl certify",
    "tsl sample-complexity",  # tests/experiments/test_sample_complexity.py
    "tsl cluster-students",
    "tsl prune-",
    "python -m tsl.compare",
)

SMALL = {
    "(10_000, 100)": "(60, 6)",
    "10_000": "60",
    "dim=100": "dim=6",
    "max_epochs=10": "max_epochs=2",
    "max_epochs 120": "max_epochs 3",
}
"""Sizes in snippets and commands, and what the test puts in their place, one after the other."""

HOW_TO = [f"docs/how_to/{path.name}" for path in sorted((ROOT / "docs/how_to").glob("*.md"))]
RUN_NOWHERE_HERE = {
    f"docs/how_to/{name}.md"
    for name in ("index", "cluster", "deep", "devices", "distillation", "images", "sample_size", "wandb")
}


def blocks(document: str) -> list[tuple[str, str]]:
    """The fenced blocks of a document, as language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    """The commands of a console block that are run here, as words."""
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line and not line.startswith(RUN_ELSEWHERE)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that stands for a checkout, in which runs may be made; the current one."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    tiny = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    del tiny["experiment"]  # documents say where runs are
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as python -m does with the current directory
    return tmp_path


def at_tiny_size(snippet: str) -> str:
    """A snippet with the sizes of its run made small."""
    for size, tiny in SMALL.items():
        snippet = snippet.replace(size, tiny)
    return snippet


def run(words: list[str]) -> None:
    """Run a command in this process; tsl.fit with the tiny settings laid over its configs."""
    if not words:
        return
    module, arguments = (f"tsl.{words[1]}", words[2:]) if words[0] == "tsl" else (words[2], words[3:])
    if module == "tsl.fit":
        after = max(index for index, word in enumerate(arguments) if word == "--config") + 2
        fit([*arguments[:after], "--config", "tiny.yaml", *arguments[after:]])
    else:
        assert COMMANDS[module](arguments) == 0
        if "--out" in arguments:
            assert Path(arguments[arguments.index("--out") + 1]).stat().st_size > 1000


@pytest.mark.parametrize("document", [pytest.param("README.md", marks=pytest.mark.slow), *HOW_TO])
def test_what_a_document_shows_works(document: str, checkout: Path) -> None:
    done = 0
    for language, text in blocks(document):
        if language == "python":
            if text.startswith("# mine.py"):
                (checkout / "mine.py").write_text(text)
            else:
                exec(compile(at_tiny_size(text), document, "exec"), {})
            done += 1
        elif language == "yaml":
            (checkout / "more.yaml").write_text(text)
            run(["tsl", "fit", "--config", "two_layer.yaml", "--config", "more.yaml"])
            done += 1
        elif language == "console":
            for words in commands(at_tiny_size(text)):
                run(words)
                done += bool(words)
        else:
            assert language in ("text", "bash")  # a sweep file, and a script for SLURM
    sys.modules.pop("mine", None)
    plt.close("all")
    assert done > 0 or document in RUN_NOWHERE_HERE


def test_the_documents_name_files_that_exist() -> None:
    for document in ("README.md", "CONTRIBUTING.md", *HOW_TO):  # of the site's other pages Sphinx says it
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / document).read_text()):
            if "generated/" not in target:
                assert ((ROOT / document).parent / target).exists(), f"{document} points to {target}"
