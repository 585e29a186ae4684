"""A run whose replicates differ in two settings, and the same experiments as runs of one setting each."""

from pathlib import Path
from typing import NamedTuple

from tests.fitting import TINY
from tsl.fit import main

POLARITY = "model.init_args.teacher_initialization.init_args.polarity"
STD = "model.init_args.student_initialization.init_args.std"
SETTINGS = [(0.5, 0.1), (1.0, 0.1), (0.5, 0.2), (1.0, 0.2)]
LABELS = [f"polarity={polarity:g},std={std:g}" for polarity, std in SETTINGS]
"""What sets the groups of replicates apart; two replicates each."""


class TwoSettings(NamedTuple):
    """Run directories: all settings along the replicates of one run, and a run for each of `SETTINGS`."""

    together: Path
    alone: list[Path]


def train(root: Path) -> TwoSettings:
    """Train them; the replicates have the same seeds in either form."""
    path = ["--trainer.default_root_dir", str(root)]
    lists = [str([value for setting in SETTINGS for value in (setting[place],) * 2]) for place in (0, 1)]
    both = ["--replicates", "8", f"--{POLARITY}", lists[0], f"--{STD}", lists[1]]
    main([*TINY, *path, *both, "--version", "together"])
    for number, (polarity, std) in enumerate(SETTINGS):
        one = [f"--{POLARITY}", str(polarity), f"--{STD}", str(std), "--seed_everything", str(2 * number)]
        main([*TINY, *path, *one, "--experiment", "alone", "--version", str(number)])
    return TwoSettings(root / "tiny/together", [root / f"alone/{number}" for number in range(len(SETTINGS))])
