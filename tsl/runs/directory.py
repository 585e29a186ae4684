"""The directory of a run, `<root>/<experiment>/<version>/`, and the checks before a run starts or resumes there."""

import shlex
from pathlib import Path
from typing import Any

from tsl.errors import InputError
from tsl.runs.records import read_config
from tsl.runs.settings import RECORDING, WITHOUT_EFFECT, flatten, is_among
from tsl.runs.status import FAILED, RESUMABLE, RUNNING, read_status

MAY_CHANGE = ("trainer.", "total_samples", "on_divergence", *RECORDING, *WITHOUT_EFFECT)
MAY_NOT_CHANGE = ("trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches", "chunk_size")
"""The exceptions to `MAY_CHANGE`. chunk_size is one, because a checkpoint stores its position in an epoch in chunks."""

LONGEST = 200
"""The most bytes of a name: file systems allow 255, and the names of temporary files are longer."""


def check_name(setting: str, name: str) -> None:
    """Refuse the name of an experiment or run that is not the name of one folder.

    Args:
        setting: The setting that gives the name, as messages name it.
        name: The name.

    Raises:
        InputError: If the name could lead out of the runs' directory, would be hidden, or cannot name a folder.
    """
    if not name or name[0] in ".~" or not name.isprintable() or {*name} & {"/", "\\"} or len(name.encode()) > LONGEST:
        raise InputError(
            f"{setting} {name[:100]!r}: expected the name of one folder, without / and \\ and line breaks, not "
            f"beginning with . or ~, of at most {LONGEST} bytes; set trainer.default_root_dir to choose another place"
        )


def find_run(root: Path, experiment: str, version: str | None) -> tuple[Path, Path | None]:
    """The run that `--ckpt_path last` resumes: the newest one with these names.

    Args:
        root: Directory of all runs.
        experiment: Name that related runs share.
        version: Name of the run; any run of the experiment if None.

    Returns:
        Its directory and its `last.ckpt`, which is None if it was stopped before its first checkpoint.

    Raises:
        InputError: If there is no such run.
    """
    of_experiment = root / experiment
    runs = of_experiment.glob("*") if version is None else [of_experiment / version]
    written: dict[Path, Path] = {}  # the file whose time shows how new a run is
    for run in runs:
        checkpoint = run / "checkpoints" / "last.ckpt"
        if checkpoint.is_file():
            written[run] = checkpoint
        elif can_start_over(run):
            written[run] = run / "config.yaml"
    if not written:
        raise InputError(
            f"--ckpt_path last: {root / experiment / (version or '')} holds no checkpoints/last.ckpt. Check "
            "--experiment and --version, or leave --ckpt_path out to start a new run"
        )
    run = max(written, key=lambda path: written[path].stat().st_mtime)
    return run, None if written[run].name == "config.yaml" else written[run]


def can_start_over(run: Path) -> bool:
    """Whether a run was stopped before its first checkpoint, so that the same command starts it over.

    It is false for a run that is complete, or that keeps checkpoints elsewhere or not at all. A process that still runs
    the run makes no difference here.
    """
    if any((run / "checkpoints").glob("*.ckpt")):
        return False
    try:
        settings = flatten(read_config(run))
    except InputError:
        return False
    kept_here = settings.get("trainer.enable_checkpointing") is not False and not settings.get("checkpoint.dirpath")
    return kept_here and read_status(run).get("state") in (RUNNING, RESUMABLE, FAILED)


def check_free(run: Path) -> None:
    """Refuse to start a run in the directory of another run, except if that one can start over.

    Raises:
        InputError: If the directory holds another run.
    """
    if (run / "config.yaml").exists() and not can_start_over(run):
        raise InputError(
            f"{run} already holds a run: choose another version, or resume that run with --ckpt_path last "
            '(in Python with trainer.fit(…, ckpt_path=".../checkpoints/last.ckpt"))'
        )


def check_no_checkpoints(directory: str | None) -> None:
    """Refuse to start a run that would overwrite the checkpoints of another one.

    Args:
        directory: The setting checkpoint.dirpath; None if a run's checkpoints are in its own directory.

    Raises:
        InputError: If the directory holds checkpoints.
    """
    if directory is not None and any(Path(directory).glob("*.ckpt")):
        raise InputError(
            f"checkpoint.dirpath = {directory} holds checkpoints of another run, which this one would overwrite: "
            "choose another directory, resume that run with --ckpt_path, or leave checkpoint.dirpath out"
        )


def command_to_resume(run: Path) -> str:
    """The command that resumes a run that was stopped."""
    parts = ["python", "-m", "tsl.fit", "--config", str(run / "config.yaml"), "--version", run.name]
    return shlex.join([*parts, "--ckpt_path", "last"])


def epochs_of_checkpoint(checkpoint: Path) -> int:
    """The epochs that a checkpoint was trained for, counting the last one even if it was interrupted.

    Raises:
        InputError: If the file is damaged, or not a checkpoint of Lightning.
    """
    from tsl.tensor_files import read_tensors  # imports torch, which takes seconds; reading a run does not need it

    return int(read_tensors(checkpoint, f"--ckpt_path {checkpoint}", keys=["epoch"])["epoch"]) + 1


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run directory that a checkpoint lies in, or None if it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    return run if (run / "config.yaml").is_file() else None


def check_same_run(run: Path, before: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse to resume a run with settings that change what it computes.

    Args:
        run: The run directory.
        before: The nested settings of the run, with current defaults for settings that are newer than the run.
        config: The new settings, as a nested dictionary of plain values.

    Raises:
        InputError: If some settings differ; the message names each of them.
    """
    then, now = flatten(before), flatten(config)
    changed = [
        f"  {key}: {then.get(key)} in the run, {now.get(key)} now"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key) and (is_among(key, MAY_NOT_CHANGE) or not is_among(key, MAY_CHANGE))
    ]
    if changed:
        raise InputError(
            f"{run} was run with other settings:\n" + "\n".join(changed) + "\nResume it with the same ones "
            f"(--config {run}/config.yaml --ckpt_path last), or leave --ckpt_path out to start a new run"
        )
