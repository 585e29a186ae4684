"""What the local launcher costs, and how runs are best laid out: python -m benchmarks.launchers.

200 tiny runs of tsl.fit, whose time is mostly that of a process's start, through `local`; beside them the same run
alone, with one thread. Then four runs each of small and of deep students, side by side with a thread each, and one
after the other with all cores.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tsl.configs import find_config
from tsl.experiments.cells import Cell, plan_runs
from tsl.experiments.launchers import cores
from tsl.experiments.launchers.local import local
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.train_all import train_all
from tsl.experiments.training import train

TINY = {
    "replicates": 1,
    "trainer.max_epochs": 1,
    "data.init_args.train_size": 100,
    "data.init_args.val_size": 100,
    "data.init_args.steps_per_epoch": 10,
}
SMALL = {"trainer.max_epochs": 10, "model.init_args.student.init_args.multiplier": 1}
DEEP = {"replicates": 8, "trainer.max_epochs": 2, "total_samples": None, "data.init_args.train_size": 50_000}


def planned(base: str, count: int, settings: dict[str, object], root: Path) -> list[PlannedRun]:
    """Runs that differ in their seed."""
    return plan_runs(
        [
            Cell({"seed": number}, [find_config(base)], {**settings, "seed_everything": number})
            for number in range(count)
        ],
        root,
    )


def seconds(runs: Sequence[PlannedRun], workers: int) -> float:
    """Wall time of runs through the local launcher."""
    began = time.perf_counter()
    with local(workers, 0) as start:
        failed = train_all(runs, start, Console(quiet=True))
    assert not failed
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="tiny runs (default: 200)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        alone = []
        for run in planned("two_layer.yaml", 4, TINY, root / "alone"):
            began = time.perf_counter()
            assert train(run, threads=1) is None
            alone.append(time.perf_counter() - began)
        one = sorted(alone)[1]  # the first also compiles
        many = seconds(planned("two_layer.yaml", asked.runs, TINY, root / "many"), cores())
        print(f"a tiny run alone: {one:.2f} s; {asked.runs} of them, {cores()} at a time: {many:.0f} s")
        print(f"  share of the cores' rate: {asked.runs * one / cores() / many:.2f}")
        print(f"  launcher's part of a run: {many * cores() / asked.runs - one:+.2f} s")
        for name, base, settings in (("small", "two_layer.yaml", SMALL), ("deep", "multilayer.yaml", DEEP)):
            beside = seconds(planned(base, 4, settings, root / f"{name}_beside"), cores())
            after = seconds(planned(base, 4, settings, root / f"{name}_after"), 1)
            print(f"four runs of {name} students: side by side {beside:.0f} s, one after the other {after:.0f} s")


if __name__ == "__main__":
    main()
