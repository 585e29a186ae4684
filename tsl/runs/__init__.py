"""One run on disk: its directory, settings, tables, checkpoints and state. Nothing here imports torch to read a run."""

from tsl.runs.run import ReplicateGroup, Run

__all__ = ["ReplicateGroup", "Run"]
