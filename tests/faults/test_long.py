"""Long and large runs: as fast and as small at the end as at the beginning, few files, many replicates and weights."""

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tests.fitting import TINY, weights
from tsl.fit import main
from tsl.runs import Run
from tsl.runs.records import read_table

pytestmark = pytest.mark.faults


class Watch(pl.Callback):
    """Notes processor time and memory after each epoch."""

    seconds: list[float] = []  # noqa: RUF012 (made by the command line, read by the test)
    kilobytes: list[int] = []  # noqa: RUF012

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.process_time())
        self.kilobytes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024)


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
    assert last < 1.25 * first


def test_thousands_of_replicates_are_what_each_is_alone(tmp_path: Path) -> None:
    arguments = [*TINY, "--trainer.default_root_dir", str(tmp_path)]
    main([*arguments, "--replicates", "4096", "--version", "many"])
    main([*arguments, "--replicates", "1", "--seed_everything", "4095", "--version", "last"])
    many, last = (Run(tmp_path / "tiny" / version) for version in ("many", "last"))
    assert len(many.table("losses", [2])) == 4096
    for name, tensor in weights(last.path).items():
        torch.testing.assert_close(weights(many.path)[name][-1], tensor[0], rtol=0, atol=1e-12)


def test_a_network_of_ten_million_weights_trains_and_goes_on(tmp_path: Path) -> None:
    """12 million in the teacher, and as many in the student."""
    widths = ["--model.teacher.init_args.widths", "[3000, 3000]", "--model.multiplier", "1"]
    inputs = ["--model.teacher.init_args.input_dim", "1000", "--data.dim", "1000", "--replicates", "1"]
    initialization = "{class_path: tsl.networks.DefaultInitialization}"
    start = ["--model.teacher_initialization", initialization, "--model.student_initialization", initialization]
    sizes = ["--data.steps_per_epoch", "3", "--trainer.precision", "32-true", "--trainer.default_root_dir"]
    arguments = [*TINY, *widths, *inputs, *start, *sizes, str(tmp_path), "--version", "run"]
    main([*arguments, "--trainer.max_epochs", "1"])
    main([*arguments, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    run = Run(tmp_path / "tiny/run")
    assert (run.state, run.recorded_epochs("student_nodes")) == ("complete", [0, 1, 2])
    student = [tensor for name, tensor in weights(run.path).items() if name.startswith("student.")]
    assert sum(tensor.numel() for tensor in student) > 10**7
    assert all(tensor.isfinite().all() for tensor in student)
