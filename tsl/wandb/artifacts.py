"""The artifacts of a run in W&B, for other runs to start from: its networks and its records."""

import re
from pathlib import Path
from typing import Any

CONFIG = "config.yaml"
CHECKPOINT = "checkpoints/last.ckpt"


def run_artifacts(run: Path, name: str, metadata: dict[str, Any]) -> list[Any]:
    """The artifacts of a run: `<name>-checkpoint` and `<name>-records`, if it has any.

    After a download, `tsl.modules.load_run` and `tsl.modules.TeacherOfRun` can read the first, and `tsl.figures` the
    second.

    Args:
        run: The run's directory.
        name: A name for the run that is unique in the project.
        metadata: The artifacts' metadata in W&B.
    """
    import wandb

    artifacts = []
    contents = {
        "checkpoint": ("model", run / CHECKPOINT, CHECKPOINT),
        "records": ("records", run / "records", "records"),
    }
    for part, (kind, path, inside) in contents.items():
        if path.exists():
            artifact = wandb.Artifact(artifact_name(f"{name}-{part}"), type=kind, metadata=metadata)
            artifact.add_file(str(run / CONFIG), name=CONFIG)
            if path.is_dir():
                artifact.add_dir(str(path), name=inside)
            else:
                artifact.add_file(str(path), name=inside)
            artifacts.append(artifact)
    return artifacts


def artifact_name(words: str) -> str:
    """A name in which characters that W&B does not allow for artifacts are replaced by "_"."""
    return re.sub(r"[^\w.-]", "_", words)[:128]
