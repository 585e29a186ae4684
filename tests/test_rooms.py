"""Which room of tsl may import which: no import points up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tsl
from tests.fitting import ROOT

PACKAGE = ROOT / "tsl"

FOR_ALL = {"", "errors", "format", "grid", "intervals", "names", "randomness", "replicates", "tensor_files"}
"""Files at the root that every room may import; "" is the package itself, for its version."""

ROOMS: dict[str, set[str]] = {
    "metrics": set(),
    "theory": {"metrics"},
    "networks": {"metrics", "theory"},
    "data": {"metrics", "theory", "networks"},
    "runs": set(),
    "modules": {"metrics", "theory", "networks", "data", "runs"},
    "callbacks": {"metrics", "theory", "networks", "data", "runs", "modules"},
    "figures": {"theory", "runs"},  # of theory, what is computed from records
    "report": {"theory", "runs", "figures"},
    "wandb": {"runs", "figures", "modules", "callbacks"},
    "compare": {"metrics", "networks", "data", "modules", "figures"},  # the last three in its command line alone
    "fit": {
        "metrics",
        "theory",
        "networks",
        "data",
        "runs",
        "modules",
        "callbacks",
        "wandb",
        "configs",
        "mistakes",
        "no_effect",
    },
    "experiments": {
        *{"metrics", "theory", "networks", "data", "runs", "modules", "callbacks", "figures", "report", "fit"},
        *{"compare", "configs"},
    },
    "configs": set(),
    "errors": set(),
    "format": set(),
    "grid": set(),
    "intervals": set(),
    "mistakes": set(),
    "no_effect": set(),
    "names": set(),
    "randomness": set(),
    "replicates": set(),
    "tensor_files": set(),
}
"""What each room, or file at the root, may import beside itself and what is for all. A new one needs a line here."""

PROGRAMS = {
    "__main__": set(),
    "certify": {"experiments"},
    "cluster_students": {"experiments"},
    "create_dashboard": {"wandb"},
    "polish": {"experiments"},
    "prune_student": {"experiments"},
    "prune_teacher": {"experiments"},
    "reproduce": {"experiments"},
    "sample_complexity": {"experiments"},
    "sweep": {"experiments"},
}
"""What `python -m` and the command `tsl` run: each only calls its room."""


def room(path: Path) -> str:
    """The room that a file is in, or its own name for one at the root; "" for the package itself."""
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    return "" if name == "__init__" else name


def imports(path: Path) -> set[str]:
    """The rooms and root files that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            there_is = [name for name in node.names if node.module == "tsl" and name.name != "__version__"]
            modules = [f"tsl.{name.name}" for name in there_is] or [node.module or ""]
        found |= {module.partition(".")[2].partition(".")[0] for module in modules if module.split(".")[0] == "tsl"}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_up(path: Path) -> None:
    of = room(path)
    allowed = (ROOMS | PROGRAMS | {"": set()}).get(of)
    assert allowed is not None, f"tsl/{of} is new: give it a line in the table of tests/test_rooms.py"
    wrong = imports(path) - allowed - FOR_ALL - {of}
    assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}, which {of} may not"


def test_only_the_command_line_of_compare_reads_runs_and_draws() -> None:
    for path in sorted((PACKAGE / "compare").glob("*.py")):
        if path.stem not in ("__main__", "sources", "figures", "page"):
            assert imports(path) <= {"compare", "metrics", "networks", "errors", "intervals", "randomness"}, path


def test_the_table_itself_has_no_way_round() -> None:
    left = dict(ROOMS)
    while left:
        lowest = {name for name, uses in left.items() if not uses & left.keys()}
        assert lowest, f"these import each other: {', '.join(left)}"
        left = {name: uses for name, uses in left.items() if name not in lowest}


def test_imports_are_found_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(
        "import tsl.fit, torch\nfrom tsl import data, __version__\ndef later():\n    from tsl.runs.records import x\n"
    )
    assert imports(tmp_path / "file.py") == {"fit", "data", "runs"}


def test_runs_are_read_without_torch() -> None:
    modules = ", ".join(f"tsl.runs.{path.stem}" for path in sorted((PACKAGE / "runs").glob("[a-z]*.py")))
    code = f"import sys, {modules}; assert not {{'torch', 'pytorch_lightning'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_starts_with_the_package_is_light() -> None:
    assert tsl.__version__
    assert imports(PACKAGE / "__init__.py") == set()
