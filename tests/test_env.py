"""`tsl env` prints what a bug report needs."""

import platform
from importlib import metadata

import pytest
import torch

from tsl import __version__, env


def test_versions_hardware_threads_and_commit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(env, "environment", lambda: {"python": "3.x", "packages": {"tsl": "1"}, "git_commit": "abc"})
    assert env.main([]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert (lines["tsl"], lines["python"], lines["git commit"]) == ("1", "3.x", "abc")
    assert lines["threads of torch"] == str(torch.get_num_threads())
    assert "OMP_NUM_THREADS=3" in lines["environment variables"]
    assert "CPU cores" in lines["machine"]
    assert "GPU" in lines


def test_the_versions_are_those_that_are_installed() -> None:
    described = env.described()
    assert described["teacher-student-lightning"] == __version__
    assert described["python"] == platform.python_version()
    for name in ("torch", "pytorch-lightning", "numba"):
        assert described.get(name, "") in (metadata.version(name), ""), name
