"""The command `tsl`, whose commands are the programs `python -m tsl.…`."""

import runpy
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.fitting import ROOT
from tsl.__main__ import COMMANDS, main

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `tsl` with these words in this process; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tsl", *words])
    try:
        return main()
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import of package")  # not so in a process of its own
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_module_of_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"tsl.{name.replace('-', '_')}"
    assert command(monkeypatch, name, "--help") == 0
    by_command = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["program.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not end.value.code
    assert capsys.readouterr().out == by_command
    assert by_command.startswith(f"usage: python -m {module} ")  # which works wherever `tsl` does


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_screen_of_all_commands(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, *words) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told and what in told for name, (_, what) in COMMANDS.items())
    assert told.count("\n") < 24
    assert max(map(len, told.splitlines())) <= 80


def test_it_starts_without_torch() -> None:
    code = "import sys; from tsl.__main__ import main; main(); "
    code += "assert not {'torch', 'numpy', 'pandas', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_an_unknown_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, "figure", "l-shape") == 2
    told = capsys.readouterr()
    assert told.err == "error: there is no command 'figure'; the nearest is 'figures' (tsl --help lists all)\n"
    assert told.out == ""


def test_a_command_starts_processes_as_the_module_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning, and multiprocessing, ask `__main__` what to run in another process."""
    (tmp_path / "own_program.py").write_text("import sys, __main__\nprint(__main__.__spec__.name, sys.argv[1:])\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "own", ("own_program", "a command more is one line"))
    assert command(monkeypatch, "own", "--key", "own") == 0
    assert capsys.readouterr().out == "own_program ['--key', 'own']\n"


def test_it_is_installed_as_tsl() -> None:
    module, function = PYPROJECT["project"]["scripts"]["tsl"].split(":")
    assert getattr(import_module(module), function) is main
