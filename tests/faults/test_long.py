"""A long run: as fast and as small at its end as at its beginning, and few files."""

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from tests.fitting import TINY
from tsl.fit import main
from tsl.runs.records import read_table


class Watch(pl.Callback):
    """Notes time and memory after each epoch."""

    seconds: list[float] = []  # noqa: RUF012 (made by the command line, read by the test)
    kilobytes: list[int] = []  # noqa: RUF012

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter())
        self.kilobytes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024)


@pytest.mark.faults
@pytest.mark.parametrize("epochs", [10_000])
def test_a_long_run_stays_as_it_was(epochs: int, tmp_path: Path) -> None:
    settings = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", str(epochs)]
    main([*TINY, *settings, "--trainer.callbacks", f"{__name__}.Watch"])
    run = tmp_path / "tiny/version_0"
    tenth = epochs // 10
    durations = np.diff(Watch.seconds)
    first, last = (float(np.median(part)) for part in (durations[10:tenth], durations[-tenth:]))
    early, late = Watch.kilobytes[tenth], Watch.kilobytes[-1]
    files = sum(path.is_file() for path in run.rglob("*"))
    begun = time.perf_counter()
    losses = read_table(run, "losses")
    print(f"{epochs} epochs: {first * 1e3:.1f} ms an epoch at first, {last * 1e3:.1f} ms at the end; {early} kB after")
    print(f"a tenth, {late} kB at the end; {files} files; reading losses took {time.perf_counter() - begun:.2f} s")
    assert len(losses) == 2 * (epochs + 1)
    assert files < 500
    assert late < 1.05 * early
