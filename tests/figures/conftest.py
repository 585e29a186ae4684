from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_up_runs import fake_run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`fake_run` with the name of a run instead of its path."""
    return lambda name="run", **settings: fake_run(tmp_path / "runs" / name, **settings)
