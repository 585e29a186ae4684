"""A sweep of three tiny runs with any launcher, as a command: `python -m tests.tiny_sweep DIRECTORY --launcher ray`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from tests.fitting import TINY
from tsl.errors import InputError
from tsl.experiments.cells import Cell, plan_runs
from tsl.experiments.launchers import add_launcher_arguments, chosen_launcher
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.train_all import train_all
from tsl.runs.settings import POLARITY

CONFIGS = [Path(word) for word in TINY if word != "--config"]
EPOCHS = 15


def tiny_runs(root: Path) -> list[PlannedRun]:
    """The runs, in `<root>/tiny`."""
    settings = [{POLARITY: polarity, "trainer.max_epochs": EPOCHS} for polarity in (0.5, 1.0, 1.5)]
    return plan_runs([Cell({"polarity": each[POLARITY]}, CONFIGS, each) for each in settings], root / "tiny")


def main() -> int:
    """Train all of them; the exit status is that of tsl's commands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    add_launcher_arguments(parser)
    asked = parser.parse_args()
    try:
        with chosen_launcher(asked) as start:
            return 1 if train_all(tiny_runs(asked.root), start, Console(highlight=False, markup=False)) else 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
