"""One run on disk: its directory, settings, tables, checkpoints and state. Nothing here imports torch to read a run."""

from tsl.runs.frame import read_runs
from tsl.runs.run import ReplicateGroup, Run, readable_run

__all__ = ["ReplicateGroup", "Run", "read_runs", "readable_run"]
