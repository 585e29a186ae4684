"""Shows a run in W&B while it trains: summaries, tables of nodes, pictures, charts and artifacts."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse.typing import PositiveInt
from pytorch_lightning.loggers import WandbLogger

from tsl.callbacks.specialization_records import SpecializationRecords
from tsl.errors import DivergenceError
from tsl.modules import TeacherStudent
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.runs import Run
from tsl.runs.environment import environment
from tsl.wandb.artifacts import run_artifacts
from tsl.wandb.charts import CHARTS, L_SHAPE, SUCCESS_RATE, l_shape_table, success_rate_table, table, with_settings
from tsl.wandb.logger import going_on
from tsl.wandb.pictures import is_recorded as table_is_recorded
from tsl.wandb.pictures import pictures, recorded
from tsl.wandb.scalars import EPOCH, STEP, summaries


class WandbBoard(pl.Callback):
    """Adds summaries, tables, pictures and charts to a W&B logger; without such a logger it does nothing.

    Every scalar gets a summary and can be plotted against optimizer step and epoch. If settings differ along the
    replicates, scalars, charts and tables of nodes name the setting. Tables, pictures and charts are made before
    training, at the end, and every `every_n_epochs` in between. They are made from records, so only at epochs at which
    nodes are recorded (`records.every_n_epochs`). Heat map and trajectories need `records.pairs`. Tables have only as
    many of the first replicates as W&B shows; the records have all. At the end, the last checkpoint and the records
    are logged as artifacts. A training loss that is not finite raises an alert.

    Args:
        every_n_epochs: The number of epochs between tables, pictures and charts; if not given, they are made whenever
            the number of epochs has doubled.
    """

    def __init__(self, every_n_epochs: PositiveInt | None = None) -> None:
        self.every_n_epochs = every_n_epochs
        self.run_id: str | None = None
        self.shown: int | None = None
        self._defined = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the environment of the run."""
        self._defined = False
        for logger in wandb_loggers(trainer):
            with going_on(logger):
                logger.log_hyperparams({"environment": environment()})
                self.run_id = logger.version

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Define the summaries before anything is logged, but after `RunFiles` has found which settings differ."""
        self._define_summaries(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Define the summaries, for a Trainer that evaluates nothing before training."""
        self._define_summaries(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show this epoch, if it is due."""
        if is_recorded(trainer):
            self._show(trainer, evaluated_epoch(trainer), at_once=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last epoch, and log the artifacts."""
        self._show(trainer, trainer.current_epoch, at_once=True)
        directory = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        if not trainer.is_global_zero:
            return
        for logger in wandb_loggers(trainer):
            run = logger.experiment
            metadata = {"epochs": trainer.current_epoch, "experiment": trainer.loggers[0].name}
            for artifact in run_artifacts(Path(directory), f"{trainer.loggers[0].name}-{run.id}", metadata):
                with going_on(logger):
                    run.log_artifact(artifact)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Raise an alert if training diverged."""
        if isinstance(exception, DivergenceError) and trainer.is_global_zero:
            for logger in wandb_loggers(trainer):
                with going_on(logger):
                    logger.experiment.alert(title="training diverged", text=str(exception), level="ERROR")

    def state_dict(self) -> dict[str, Any]:
        """The id of the W&B run, which a resumed run continues, and the last epoch shown."""
        return {} if self.run_id is None else {"run_id": self.run_id, "shown": self.shown}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the last epoch shown from `state_dict`."""
        self.shown = state_dict["shown"]

    def _define_summaries(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._defined:
            return
        self._defined = True
        layers = len(pl_module.student.widths) if isinstance(pl_module, TeacherStudent) else 0
        settings = getattr(pl_module, "replicate_groups", ())
        for logger in wandb_loggers(trainer):
            with going_on(logger):
                run = logger.experiment
                run.define_metric(EPOCH)
                for name, summary in summaries(layers, alignments_of(trainer), settings).items():
                    # For wandb an unescaped dot, as in recovered_0.95, separates the names of nested values.
                    run.define_metric(name.replace(".", r"\."), step_metric=STEP, summary=summary)

    def _is_due(self, epoch: int) -> bool:
        if self.shown is None:
            return True
        return epoch >= (2 * self.shown if self.every_n_epochs is None else self.shown + self.every_n_epochs)

    def _show(self, trainer: pl.Trainer, epoch: int, at_once: bool) -> None:
        """Log the tables, pictures and charts of an epoch, if it is due or wanted `at_once`, and has records of nodes.

        Only the first process decides, because the others may not see its records yet.
        """
        directory = trainer.log_dir  # log_dir broadcasts, so every process has to read it
        loggers = wandb_loggers(trainer)
        if not loggers or not trainer.is_global_zero or self.shown == epoch or not (at_once or self._is_due(epoch)):
            return
        if table_is_recorded(Path(directory), "student_nodes", epoch):
            self.shown = epoch
            media = shown_media(Path(directory), epoch, loggers[0].experiment.entity)
            for logger in loggers:
                with going_on(logger):
                    logger.log_metrics(media | {EPOCH: epoch}, step=trainer.global_step)


def shown_media(directory: Path, epoch: int, entity: str | None) -> dict[str, Any]:
    """The tables, charts and pictures of one recorded epoch of a run, by their names in W&B.

    Args:
        directory: The run's directory.
        epoch: Epochs trained.
        entity: The user or team that owns the custom charts; None offline, unless it was given.
    """
    import wandb

    run = Run(directory)
    nodes = {
        name: with_settings(recorded(directory, name, epoch=epoch), run) for name in ("teacher_nodes", "student_nodes")
    }
    tables = {
        L_SHAPE.key: l_shape_table(nodes["student_nodes"]),
        SUCCESS_RATE.key: success_rate_table(nodes["teacher_nodes"]),
    }
    if len(run.groups) == 1:
        nodes = {name: frame.drop(columns="setting") for name, frame in nodes.items()}
    media: dict[str, Any] = {f"nodes/{name.removesuffix('_nodes')}": table(nodes[name]) for name in nodes}
    for chart in CHARTS:
        name = f"{entity}/{chart.name}" if entity else chart.name
        media[chart.key] = wandb.plot_table(name, table(tables[chart.key]), chart.fields, {"title": chart.title})
    for name, picture in pictures(directory, epoch).items():
        media[f"pictures/{name}"] = wandb.Image(picture.image, caption=picture.caption)
    return media


def wandb_loggers(trainer: pl.Trainer) -> list[Any]:
    """The Trainer's W&B loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def alignments_of(trainer: pl.Trainer) -> dict[str, bool | None]:
    """The layer-wise alignments that a run logs, and whether a higher value means closer (None: unknown)."""
    records = [callback for callback in trainer.callbacks if isinstance(callback, SpecializationRecords)]
    closer: dict[str, bool | None] = {}
    for callback in records:
        closer |= dict.fromkeys(callback.of_correlation)
        closer |= {name: make(1, 1, 1).higher_is_better for name, make in callback.metrics.items()}
    return closer
