"""The arguments that a Trainer needs for the records, checkpoints and status of a run that is started in Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from tsl.callbacks.run_files import RunFiles
from tsl.callbacks.run_logger import RunLogger
from tsl.callbacks.run_progress import RunProgress
from tsl.callbacks.specialization_records import SpecializationRecords
from tsl.runs.directory import check_name

LAST_CHECKPOINT = {"filename": "last", "enable_version_counter": False, "save_on_train_epoch_end": True}
"""One checkpoint, last.ckpt, replaced after every epoch; ModelCheckpoint's save_last would write others as well."""


def for_run(
    root: Path | str,
    experiment: str,
    version: str | None = None,
    *,
    records: SpecializationRecords | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Arguments for a Trainer that writes its run like `tsl.fit`: `Trainer(max_epochs=…, **for_run(…))`.

    The run's directory, `<root>/<experiment>/<version>/`, is `trainer.log_dir`, whatever other loggers there are.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of this run; the next free `version_<n>` if None.
        records: The callback that measures; `SpecializationRecords()`, which measures at every epoch, if None.
        callbacks: Further callbacks. Give them here instead of to the Trainer.
        loggers: Further loggers. Give them here instead of to the Trainer.
        progress: Whether to show `RunProgress`; it replaces the Trainer's `enable_progress_bar`.

    Raises:
        InputError: If `experiment` or `version` is not the name of one folder.
    """
    check_name("experiment", experiment)
    if version is not None:
        check_name("version", version)
    root = Path(root).expanduser()
    own = [records or SpecializationRecords(), ModelCheckpoint(**LAST_CHECKPOINT), RunFiles()]  # RunFiles last
    bar = [RunProgress()] if progress else []
    return {
        "default_root_dir": root,
        "logger": [RunLogger(root, experiment, version), *loggers],
        "callbacks": [*callbacks, *bar, *own],
        "enable_progress_bar": progress,
        "num_sanity_val_steps": -1,  # all of the evaluation data: the records of epoch 0, before training
        "log_every_n_steps": 1,
    }
