"""Writing checkpoints whole or not at all, and reading them without running code."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from tsl.runs.whole_files import writing, written_whole
from tsl.tensor_files import read_tensors


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, written to a temporary file beside the target, and read as tensors and plain values.

    Lightning itself writes to the temporary directory. If that is on another file system, as usual on clusters, and the
    process is killed while the file is copied, neither the old checkpoint nor the new one is left.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint whole or not at all; on a remote file system, Lightning writes it.

        Raises:
            CannotWriteError: If it cannot be written.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path = Path(path)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint; objects other than tensors and plain values are read only if `weights_only` is False.

        Raises:
            InputError: If it is damaged, holds other objects, or lacks what a run needs to go on.
        """
        if weights_only is False or "://" in str(path):
            return super().load_checkpoint(path, map_location, weights_only)
        checkpoint: dict[str, Any] = read_tensors(path, f"the checkpoint {path}", keys=["state_dict", "epoch"])
        return checkpoint
