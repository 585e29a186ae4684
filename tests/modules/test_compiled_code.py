"""Where the compiled steps are kept: in the package's folder, or the user's where that cannot be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import numpy as np
import arithmetic  # from its own folder, since all of tsl.modules takes seconds to import
arithmetic.one_hot(np.ones(2), np.ones(2))
print(sum(arithmetic.one_hot.stats.cache_hits.values()))
"""


@pytest.mark.parametrize("writable", [True, False])
def test_compiled_code_is_kept_between_runs(tmp_path: Path, writable: bool) -> None:
    folder = tmp_path / "compiled"
    folder.mkdir()
    shutil.copy("tsl/modules/compiled/arithmetic.py", folder)
    if not writable:  # for root too: no folder can be made where a file lies
        (folder / "__pycache__").touch()
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home/cache")}
    environment = os.environ | home | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    hits = [
        int(
            subprocess.run(
                [sys.executable, "-c", CALL], env=environment, cwd=tmp_path, capture_output=True, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    assert hits == [0, 1]
    assert any(folder.glob("__pycache__/*.nbi")) == writable


def test_waiting_threads_sleep_unless_told_otherwise() -> None:
    for given in (None, "ACTIVE"):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        if given is not None:
            environment["OMP_WAIT_POLICY"] = given
        told = subprocess.run(
            [sys.executable, "-c", "import tsl, os; print(os.environ['OMP_WAIT_POLICY'])"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == (given or "PASSIVE")
