"""A W&B logger that never stops a run, and that groups, names and tags runs by their settings."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from tsl.runs.settings import MULTIPLIER, POLARITY, flatten
from tsl.tensor_files import read_tensors

TAGGED = {
    "multiplier": MULTIPLIER,
    "polarity": POLARITY,
    "loss": "model.init_args.loss",
}
"""Settings that become tags, such as "multiplier=2", by their name in the tag."""

ENVIRONMENT = {"group": "WANDB_RUN_GROUP", "job_type": "WANDB_JOB_TYPE", "name": "WANDB_NAME", "tags": "WANDB_TAGS"}
"""The environment variables by which a user can set group, job type, name and tags."""

LONGEST_END = 60.0
"""The most seconds that a run waits at its end until all data is sent; `wandb sync` sends the rest."""

LONGEST_TAG = 64
"""The most characters of a tag in W&B."""


class WandbRunLogger(WandbLogger):
    """Lightning's W&B logger, except that a run never fails because W&B is missing or fails.

    Without the package, nothing is logged. Without a login, or if no server answers, the run is logged offline, and
    `wandb sync` can send it later. In both cases one warning is printed. The wandb run ends when training ends; if no
    server answers then, the process waits for a minute.

    Args:
        project: W&B project.
        entity: User or team; your default entity if not given.
        group: The name by which runs are grouped; the experiment if not given.
        job_type: Kind of run within a group; "train" if not given.
        tags: Tags; multiplier, polarity and loss if not given.
        name: Name of the run; `<experiment>/<version>` if not given.
        save_dir: The directory for wandb's files; that of all runs (trainer.default_root_dir) if not given.
        offline: Whether to log offline, as with the environment variable WANDB_MODE=offline.
        log_model: As in Lightning's logger: "all" logs every checkpoint when it is written. `WandbBoard` logs the last
            one in any case.
    """

    _experiment: Any
    _save_dir: str | None

    def __init__(
        self,
        project: str = "tsl",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        name: str | None = None,
        save_dir: str | None = None,
        offline: bool = False,
        log_model: bool | Literal["all"] = False,
    ) -> None:
        self.available = True
        try:
            import wandb
        except ImportError:
            self.available = False
            warn_once("wandb is not installed, so nothing is logged to W&B: pip install wandb")
            return
        # Lightning's `offline` is not used, because it refuses log_model and changes the process's environment.
        mode: dict[str, Any] = {"mode": "offline"} if offline else {}
        filed = {"entity": entity, "group": group, "job_type": job_type, "tags": tags}
        if "finish_timeout" in wandb.Settings.model_fields:  # only newer versions have it
            mode["settings"] = {"finish_timeout": LONGEST_END}
        super().__init__(project=project, name=name, save_dir=save_dir, log_model=log_model, **filed, **mode)
        del self._wandb_init["anonymous"]  # deprecated in wandb

    def file_under(self, root: str, experiment: str, version: str, config: dict[str, Any]) -> None:
        """Set the run's group, job type, name and tags, unless the user has set them.

        Args:
            root: Directory of all runs.
            experiment: Name that related runs share.
            version: Name of this run.
            config: The nested settings of the run.
        """
        defaults = {"group": experiment, "job_type": "train", "name": f"{experiment}/{version}", "tags": tags(config)}
        for key, value in defaults.items():
            if self._wandb_init.get(key) is None and not os.environ.get(ENVIRONMENT[key]):
                self._wandb_init[key] = value
        self._wandb_init["dir"] = self._save_dir = self._save_dir or root
        self._name = self._wandb_init["name"]

    def go_on(self, run_id: str) -> None:
        """Log to the earlier wandb run with this id instead of a new one."""
        self._id = self._wandb_init["id"] = run_id

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The wandb run."""
        if self._experiment is None:
            import wandb

            Path(self._save_dir or ".").mkdir(parents=True, exist_ok=True)
            try:
                return super().experiment
            except wandb.errors.Error as error:
                reason = " ".join(str(error).split())
                warn_once(
                    f"W&B cannot be reached, so this run is logged offline; send it later with `wandb sync`: {reason}"
                )
                self._wandb_init["mode"] = "offline"
        return super().experiment

    def log_hyperparams(self, params: Any) -> None:
        """Log settings, unless W&B fails."""
        with going_on(self):
            super().log_hyperparams(params)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Log values, unless W&B fails."""
        with going_on(self):
            super().log_metrics(metrics, step)

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log a checkpoint, if `log_model` asks for it, unless W&B fails."""
        with going_on(self):
            super().after_save_checkpoint(checkpoint_callback)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the wandb run; later values are logged to the same run."""
        with going_on(self):
            super().finalize(status)
        if self._experiment is not None:
            self.go_on(self._experiment.id)
            with going_on(self):
                self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None


@contextmanager
def going_on(logger: Any) -> Iterator[None]:
    """Let training go on if W&B fails; print a warning the first time.

    Args:
        logger: A W&B logger.
    """
    try:
        yield
    except Exception as error:  # wandb raises exceptions of many classes, and its process may have ended
        if not getattr(logger, "has_failed", False):
            reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
            warn_once(f"W&B fails, so training goes on without it; the run's directory still gets all files: {reason}")
        logger.has_failed = True


def tags(config: dict[str, Any]) -> list[str]:
    """The tags of a run with these settings, such as "multiplier=2" and "polarity=1"; one for each value of a list."""
    flat = flatten(config)
    named = {name: flat.get(key) for name, key in TAGGED.items()}
    named["loss"] = named["loss"] or flat.get(f"{TAGGED['loss']}.class_path")
    found = []
    for name, setting in named.items():
        for value in setting if isinstance(setting, list) else [setting]:
            if value is not None:
                word = f"{value:g}" if isinstance(value, int | float) else str(value).rsplit(".", 1)[-1]
                found.append(f"{name}={word}"[:LONGEST_TAG])
    return list(dict.fromkeys(found))


def sweep_run_id() -> str | None:
    """The id that a W&B sweep's agent gave this run, or None outside of a sweep."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def saved_run_id(checkpoint: Path) -> str | None:
    """The id of the wandb run that `WandbBoard` saved in a checkpoint, or None."""
    callbacks = read_tensors(checkpoint).get("callbacks", {})
    return callbacks.get("WandbBoard", {}).get("run_id")


@rank_zero_only
def warn_once(message: str) -> None:
    """Print a warning, in one process only."""
    print(f"warning: {message}", file=sys.stderr)
