"""Broken configs, derived from every shipped one: refused in one message that names the setting, or legal.

`make test-faults` tries all of them, the default run a small sample.
"""

import contextlib
import io
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.broken_settings import Broken, as_yaml, broken, chain, fitted_configs, printed, small, write_files
from tsl.fit import main
from tsl.fit.command_line import VERY_LARGE
from tsl.modules.steps import StepModule

IN_ALL = 500
"""Broken configs of each shipped one."""

LONGEST = 10.0
"""Seconds that one may take, of processor time, so that a busy machine does not count."""

MEMORY = 16 << 30
"""Bytes of addresses: larger requests fail at once, as on a machine without so much."""


LATE = ("not finite", "without overflow", "could not find the monitored key")
"""Words of messages about what only training shows: a loss, or a metric that no callback has logged."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture
def one_chunk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs end after their first chunk, and memory is limited."""
    record = StepModule._record_train_losses

    def record_and_stop(module: StepModule, *arguments: Any) -> None:
        record(module, *arguments)
        module.trainer.should_stop = True

    monkeypatch.setattr(StepModule, "_record_train_losses", record_and_stop)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(config: dict[str, Any], folder: Path) -> tuple[int, str]:
    """Run a config in this process; gives the exit status, 0 if it ran, and what was printed on stderr."""
    (folder / "config.yaml").write_text(as_yaml(config))
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            main(["--config", str(folder / "config.yaml"), "--trainer.default_root_dir", str(folder / "runs")])
    except SystemExit as stopped:
        return int(stopped.code or 0), err.getvalue()
    return 0, err.getvalue()


def diverged(message: str, case: Broken) -> bool:
    """Whether a loss is not finite although no changed value is very large."""
    large = [value for value in case.values if isinstance(value, int | float) and abs(value) >= VERY_LARGE]
    return "the training loss is not finite" in message and not (large and case.keys[0].startswith(("model.", "data.")))


def faults_of(name: str, files: Path, folder: Path, count: int, seed: int) -> list[str]:
    """What is wrong with how `count` broken configs of a shipped one end; nothing, if all is well."""
    folder.mkdir()
    found = []
    for case in islice(broken(small(printed(name), files), seed), count):
        what = ", ".join(f"{key} = {value!r}" for key, value in zip(case.keys, case.values, strict=True))
        shutil.rmtree(folder / "runs", ignore_errors=True)
        start = time.process_time()
        try:
            status, message = outcome(case.config, folder)
        except Exception as error:  # each is a fault, and the others are wanted too
            found.append(f"{what}: {type(error).__name__}: {error}")
            continue
        keys = [re.sub(r"\.(class_path|\d+)", "", key) for key in case.keys]
        words = [key.rsplit(".", 1)[-1] for key in keys] + [key.rsplit(".", 1)[0] for key in keys if key.count(".") > 2]
        if status not in (0, 2):
            found.append(f"{what}: status {status}")
        if status == 2 and (message.count("error: ") != 1 or "Traceback" in message):
            found.append(f"{what}: not one message: {message}")
        if status == 2 and not any(word.rstrip("x") in message for word in words) and not diverged(message, case):
            found.append(f"{what}: not named: {message}")
        if status == 2 and not any(words in message for words in LATE) and [*folder.glob("runs/**/*.*")]:
            found.append(f"{what}: left behind {[*folder.glob('runs/**/*.*')][:3]}: {message}")
        if time.process_time() - start > LONGEST:
            found.append(f"{what}: took {time.process_time() - start:.0f} s")
    return found


def test_a_sample_of_broken_configs(tmp_path: Path) -> None:
    """In a process of its own, because memory is limited and whatever a broken config leaves behind ends with it."""
    tests = [__file__, "-m", "in_a_process_of_its_own", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, "--basetemp", str(tmp_path / "of_tests")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.in_a_process_of_its_own
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["two_layer.yaml", "multilayer.yaml", "committee.yaml", "cifar10/student.yaml"])
def test_some_broken_configs(name: str, files: Path, tmp_path: Path, one_chunk: None) -> None:
    assert not faults_of(name, files, tmp_path / "sample", count=12, seed=len(name))


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fitted_configs())
def test_all_broken_configs(name: str, files: Path, tmp_path: Path, one_chunk: None) -> None:
    found = faults_of(name, files, tmp_path / "all", count=IN_ALL, seed=0)
    assert not found, "\n".join(found)


@pytest.mark.in_a_process_of_its_own
@pytest.mark.parametrize("name", ["two_layer.yaml", "multilayer.yaml", "committee.yaml", "cifar10/student.yaml"])
def test_what_they_are_derived_from_runs(name: str, files: Path, tmp_path: Path, one_chunk: None) -> None:
    assert outcome(small(printed(name), files), tmp_path) == (0, "")


def test_every_config_is_laid_over_those_that_it_needs() -> None:
    assert chain("E10/adam.yaml") == ["multilayer.yaml", "E10.yaml", "E10/adam.yaml"]
    assert chain("E5/plain.yaml") == ["two_layer.yaml", "E5.yaml", "E5/plain.yaml"]
    assert chain("quick/E1.yaml") == ["two_layer.yaml", "E1.yaml", "quick/E1.yaml"]
