"""Every command and snippet of README.md and docs/guide.md, run in order at tiny size."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure

import tsl.figures
from tests.fitting import ROOT
from tsl.figures.__main__ import main as draw
from tsl.fit import main as fit
from tsl.report.__main__ import main as report
from tsl.runs.listing import main as list_runs

COMMANDS = {"tsl.figures": draw, "tsl.report": report, "tsl.runs": list_runs}

RUN_ELSEWHERE = (
    "make ",  # .ci/run
    "source ",
    "python -m tsl.reproduce",  # tests/experiments/test_reproduce.py
    "WANDB_MODE=offline",  # tests/wandb/test_loggers.py
    "python -m tsl.fit --config configs/multilayer.yaml",  # tests/test_configs.py
    "python -m tsl.fit --config configs/cifar10/",  # tests/test_configs.py
    "python -m tsl.fit --config configs/images/",  # tests/modules/test_distillation_config.py
    "python -m tsl.compare",  # tests/compare/test_command_line.py
    "python -m tsl.prune_teacher",  # tests/experiments/test_prune_teacher.py
)


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
    for size, tiny in (("10_000", "60"), ("dim=100", "dim=6"), ("max_epochs=10", "max_epochs=2")):
        snippet = snippet.replace(size, tiny)
    return snippet


def run(words: list[str]) -> None:
    """Run a command in this process; tsl.fit with the tiny settings laid over its configs."""
    if not words:
        return
    assert words[:2] == ["python", "-m"], words
    module, arguments = words[2], words[3:]
    if module == "tsl.fit":
        after = max(index for index, word in enumerate(arguments) if word == "--config") + 2
        fit([*arguments[:after], "--config", "tiny.yaml", *arguments[after:]])
    else:
        assert COMMANDS[module](arguments) == 0
        if "--out" in arguments:
            assert Path(arguments[arguments.index("--out") + 1]).stat().st_size > 1000


@pytest.mark.parametrize("document", [pytest.param("README.md", marks=pytest.mark.slow), "docs/guide.md"])
def test_what_a_document_shows_works(document: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    draw_l_shape = tsl.figures.l_shape.draw
    monkeypatch.setattr(tsl.figures.l_shape, "draw", lambda runs: drawn.append(draw_l_shape(runs)))
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
            run(["python", "-m", "tsl.fit", "--config", "configs/two_layer.yaml", "--config", "more.yaml"])
            done += 1
        else:
            assert language == "console"
            for words in commands(text):
                run(words)
                done += bool(words)
    sys.modules.pop("mine", None)
    assert done >= {"README.md": 13, "docs/guide.md": 7}[document]
    assert len(drawn) == {"README.md": 1, "docs/guide.md": 2}[document]
    assert all(figure.axes[0].collections for figure in drawn)


def test_the_documents_name_files_that_exist() -> None:
    for document in ("README.md", "docs/guide.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / document).read_text()):
            assert ((ROOT / document).parent / target).exists(), f"{document} points to {target}"
