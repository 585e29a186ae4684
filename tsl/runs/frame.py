"""A table of many runs as one frame, with the settings in which they differ as columns."""

from pathlib import Path

import pandas as pd

from tsl.errors import InputError
from tsl.runs.listing import find_runs
from tsl.runs.run import readable_run
from tsl.runs.settings import RECORDING, SEEDS, differences, in_words, names_in_words


def read_runs(directory: Path | str, table: str) -> pd.DataFrame:
    """One table of all runs in a directory and below it, such as the directory of a sweep.

    Args:
        directory: The directory.
        table: A key of `tsl.runs.records.COLUMNS`, such as "layers".

    Returns:
        The rows of all runs. The columns are `run` (its name), `seed`, one for each setting in which the replicates
        differ, named by the last word of its name, and those of the table. Lists, such as widths, are text: "[20,30]".

    Raises:
        InputError: If there are no runs, or none has records of the table.
    """
    directory = Path(directory)
    paths = sorted(find_runs(directory))
    if not paths:
        raise InputError(f"{directory} holds no runs: give a directory of runs, or one run")
    runs = [readable_run(path, path.name if path == directory else str(path.relative_to(directory))) for path in paths]
    groups = [group for run in runs for group in run.groups]
    found = differences([group.settings for group in groups], (*RECORDING, *SEEDS))
    names = names_in_words(list(found))
    frames = []
    for place, group in enumerate(groups):
        rows = group.rows(group.run.readable_table(table))
        if len(rows):
            values = {names[key]: values[place] for key, values in found.items()}
            plain = {name: in_words(value) if isinstance(value, list) else value for name, value in values.items()}
            seeds = rows["replicate"].map(group.seeds)
            frames.append(pd.DataFrame({"run": group.run.name, "seed": seeds, **plain}).join(rows))
    if not frames:
        raise InputError(f"no run in {directory} has records of {table}")
    return pd.concat(frames, ignore_index=True)
