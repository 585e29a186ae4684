"""One run on disk: its directory, settings, tables, checkpoints and state. Nothing here imports torch to read a run."""
