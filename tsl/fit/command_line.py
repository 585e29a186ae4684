"""The LightningCLI behind `python -m tsl.fit`: it reads the settings, and trains.

A run is written to `<trainer.default_root_dir>/<experiment>/<version>/`.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace, get_loader, set_loader
from jsonargparse.typing import PositiveInt
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, ModelSummary, ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from tsl.callbacks import RunFiles, RunLogger, RunProgress, SpecializationRecords
from tsl.callbacks.for_run import LAST_CHECKPOINT
from tsl.callbacks.network_summary import NetworkSummary
from tsl.callbacks.run_files import is_out_of_time
from tsl.callbacks.stop_signals import Stopped, StopSignals
from tsl.configs import find_configs
from tsl.data.budget import budget_epochs
from tsl.errors import InputError
from tsl.fit.help import nearest, show_help
from tsl.grid import count_replicates, expanded, lay_out, with_full_names, with_values
from tsl.mistakes import BUG, check_finite, check_nulls, find_mistake, in_short
from tsl.modules import Classifier
from tsl.modules.sgd import check_list_of_rates
from tsl.modules.steps import print_once
from tsl.no_effect import settings_without_effect
from tsl.processes import ReplicateStrategy
from tsl.runs.directory import (
    check_free,
    check_name,
    check_no_checkpoints,
    check_same_run,
    command_to_resume,
    epochs_of_checkpoint,
    find_run,
    run_of_checkpoint,
)
from tsl.runs.records import read_config
from tsl.runs.settings import flatten
from tsl.runs.status import check_not_running
from tsl.runs.summary import print_classifier_summary, print_summary
from tsl.runs.translation import translated, translated_arguments
from tsl.wandb.logger import WandbRunLogger, saved_run_id, sweep_run_id

EXPECTED_WARNINGS = (
    r"Found \d+ module\(s\) in eval mode at the start of training",  # the teacher is, on purpose
    r"Checkpoint directory .* exists and is not empty",  # a resumed run writes to its directory again
    r"The `srun` command is available on your system but is not used",  # a run starts its processes itself
    r"The dirpath has changed from ",  # a resumed run was moved
    r"Be aware that when using `ckpt_path`, callbacks .*\['Timer'\]",  # trainer.max_time had stopped a resumed run
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 uses it, and torch 2.15 deprecates it
)


CLASSES = {
    **{"trainer": Trainer, "model": None, "data": None},
    **{"records": SpecializationRecords, "checkpoint": ModelCheckpoint},
}
"""The groups of settings, and the class whose arguments each group holds; None if class_path names the class."""


BASES = ("pytorch_lightning.LightningModule", "pytorch_lightning.LightningDataModule")
"""The class_path that the parser gives to a group of settings without one."""

MOST_REPLICATES = 2**14
"""The most replicates of a run, because more take minutes before the first step."""

NOT_FINITE = ("is not finite", "has NaN or infinite values", "without overflow")
"""Words of messages about a loss, a weight, and (torch's) a number that float32 cannot hold."""

VERY_LARGE = 1e6
"""Real numbers in a config from here on are named when training diverges."""


def very_large(settings: Mapping[str, Any]) -> Iterator[str]:
    """The settings of model and data with a real number that is very large, in words."""
    for key, value in flatten({group: settings[group] for group in ("model", "data")}).items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and abs(number) >= VERY_LARGE:
                yield f"{key} = {number:g}"


class TeacherStudentCLI(LightningCLI):
    """LightningCLI with what every run of tsl has: a name, replicates, records, checkpoints and exact resumption."""

    resumed_wandb_run: str | None = None
    _written: dict[str, Any]

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The subcommand `fit` alone, because making the parsers of the others takes most of a second."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add tsl's own settings."""
        parser.add_argument("--experiment", type=str, default="default", help="name that related runs share")
        parser.add_argument(
            "--version", type=str | None, help="name of this run; the next free version_<n> if not given"
        )
        parser.add_argument(
            "--replicates",
            type=PositiveInt,
            default=1,
            help="independent experiments trained at once; replicate r has the seed seed_everything + r",
        )
        parser.add_argument(
            "--grid",
            type=dict[str, list] | None,
            help="settings to train in all combinations at once, such as {polarity: [0, 1], lr: [0.01, 0.1]}, by their "
            "dotted names or last words; only settings that may differ along the replicates",
        )
        parser.add_argument(
            "--seeds",
            type=PositiveInt | None,
            help="number of seeds for each combination of the grid; replicate r has the combination r // seeds",
        )
        parser.add_argument(
            "--paired_seeds",
            type=bool,
            default=True,
            help="whether all combinations of the grid share seeds, and so teachers, inputs and initial students: "
            "replicate r has the seed seed_everything + r % seeds if true, seed_everything + r if false",
        )
        parser.add_argument(
            "--total_samples",
            type=PositiveInt | None,
            help="training samples that each student sees over the whole run: a whole number of epochs; it sets "
            "trainer.max_epochs",
        )
        for group in ("model", "data"):
            parser.link_arguments("replicates", f"{group}.init_args.replicates")
            parser.link_arguments("seed_everything", f"{group}.init_args.seed", compute_fn=fixed_seed)
        parser.add_lightning_class_args(SpecializationRecords, "records")
        parser.add_class_arguments(ModelCheckpoint, "checkpoint")
        parser.set_defaults({f"checkpoint.{key}": value for key, value in LAST_CHECKPOINT.items()})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments of `main`. Lightning's own method would warn that the program has arguments as well.

        Raises:
            InputError: If a setting is unknown, or has a value that it cannot have.
        """
        self._parser("fit").prog = "python -m tsl.fit"  # without the subcommand's word
        if show_help(args, self._parser("fit")):
            sys.exit(0)
        arguments = translated_arguments(args)
        parsers = (parser, *self._subcommand_parsers.values())
        for each in parsers:
            each.exit_on_error = each.allow_abbrev = False
        try:
            self.config = parser.parse_args(arguments)
            self._parser("fit").validate(self.config["fit"], skip_unset=False)
        except (ArgumentError, TypeError) as error:  # `validate` raises the latter
            check_list_of_rates(str(error))
            said = in_short(str(error))
            if said.startswith("the following arguments are required: fit."):
                said = "expected a config: give one, such as --config two_layer.yaml; tsl configs lists those of tsl"
            if said.startswith("unrecognized arguments: ") and said.endswith((".yaml", ".yml")):
                said += " (a config is given by --config)"
            if "No module named" in said:
                said += " (python -m tsl.fit also finds modules in the current directory, but tsl fit does not)"
            raise InputError(said + nearest(said, self._parser("fit"))) from error
        for group, maker in CLASSES.items():
            settings = self.config["fit"][group].as_dict()
            if settings.get("class_path") in BASES:  # what the parser makes of an empty group
                raise InputError(
                    f"{group}: expected class_path with the name of a class, but none came; --{group}.help lists the "
                    "classes of tsl"
                )
            check_nulls(settings, group, maker)
            check_finite(settings, group)

    def _lay_out_grid(self) -> None:
        """Write the axes' full names and the number of replicates into the config.

        Raises:
            InputError: If the grid does not fit the run.
        """
        config = self.config[self.subcommand]
        if config.grid:
            config.grid = with_full_names(config.grid, self._settings())
        said, config.replicates = (
            config.replicates,
            count_replicates(config.grid or {}, config.seeds, config.replicates),
        )
        if said not in (1, config.replicates):
            print_once(
                f"without effect: replicates = {said}: grid and seeds make {config.replicates} of them", file=sys.stderr
            )
        if config.replicates > MOST_REPLICATES:
            raise InputError(f"replicates = {config.replicates}: expected at most {MOST_REPLICATES}")

    def _expanded(self) -> Namespace:
        """The config with the values of its grid as lists along the replicates.

        Raises:
            InputError: If a setting cannot have one of the values.
        """
        parser = self._parser(self.subcommand)
        parser.exit_on_error = False
        try:
            config = parser.parse_object(with_values(self._written, self._written["grid"] or {}))
            lay_out(config, self._written)
            return config
        except (ArgumentError, TypeError) as error:
            raise InputError(f"grid: {in_short(str(error))}") from error
        finally:
            parser.exit_on_error = True

    def _parse_ckpt_path(self) -> None:
        """Take no settings from a checkpoint. The config has them all, but Lightning would prefer the checkpoint's."""

    def before_instantiate_classes(self) -> None:
        """Choose the run directory and the number of epochs; check that a resumed run has the same settings."""
        self._lay_out_grid()
        config = self.config[self.subcommand]
        if config.trainer.barebones:
            raise InputError(
                "trainer.barebones: expected false, since it turns off loggers, evaluations and checkpoints"
            )
        if config.trainer.val_check_interval not in (None, 1.0):
            raise InputError(
                f"trainer.val_check_interval = {config.trainer.val_check_interval}: expected 1.0, since records are of "
                "whole epochs; set trainer.check_val_every_n_epoch, or data.init_args.steps_per_epoch for shorter ones"
            )
        for name in ("limit_train_batches", "limit_val_batches", "overfit_batches"):
            if type(config.trainer[name]) is int and config.trainer[name]:
                print_once(
                    f"trainer.{name} = {config.trainer[name]} counts batches as tsl makes them: a training batch is a "
                    "chunk of data.init_args.chunk_size optimizer steps, and a validation batch is as large as memory "
                    "allows. data.init_args.steps_per_epoch shortens an epoch, and val_size an evaluation",
                    file=sys.stderr,
                )
        for line in settings_without_effect(flatten(expanded(self._settings()))):
            rank_zero_only(print)(f"without effect: {line}", file=sys.stderr)
        if config.trainer.check_val_every_n_epoch is not None and config.trainer.check_val_every_n_epoch < 1:
            raise InputError(
                f"trainer.check_val_every_n_epoch = {config.trainer.check_val_every_n_epoch}: expected 1 or more epochs"
            )
        if config.checkpoint.monitor == "":
            raise InputError("checkpoint.monitor: expected a metric's name or null, but an empty text came")
        if config.total_samples is not None:
            config.trainer.max_epochs = self._epochs_of_budget(config)
        if config.version is None and config.ckpt_path is None:
            config.version = sweep_run_id()  # agents that start at the same time would take the same next free version
        root = Path(config.trainer.default_root_dir)
        check_name("--experiment", config.experiment)
        if config.version is not None:
            check_name("--version", config.version)
        if config.ckpt_path is not None:
            self._resume(config, root)
        elif config.version is not None:
            run = root / config.experiment / config.version
            check_not_running(run)
            check_free(run)
            if (run / "config.yaml").exists():
                print_once(f"{run} holds a run that ended before its first checkpoint: it is replaced", file=sys.stderr)
        if config.ckpt_path is None and config.trainer.enable_checkpointing is not False:
            check_no_checkpoints(config.checkpoint.dirpath)

    def _resume(self, config: Namespace, root: Path) -> None:
        """Find the checkpoint, and check that the run can go on from it. A run without a checkpoint starts over."""
        if config.ckpt_path == "last":
            found, last = find_run(root, config.experiment, config.version)
            config.ckpt_path, config.version = last, found.name
            check_not_running(found)
            if last is None:
                print_once(f"{found} ended before its first checkpoint: it starts over")
                return
        checkpoint = Path(config.ckpt_path)
        if not checkpoint.is_file():
            raise InputError(f"--ckpt_path {checkpoint}: no such file. Give a checkpoint, or 'last' for the newest one")
        run = run_of_checkpoint(checkpoint)
        if run is not None:
            check_not_running(run)
        self._check_epochs(epochs_of_checkpoint(checkpoint))
        config.ckpt_path = str(checkpoint)
        if run is None:
            if config.version is not None:
                check_free(root / config.experiment / config.version)
            return
        check_same_run(run, self._settings_of(run), self._settings())
        if run != (root / config.experiment / (config.version or run.name)).resolve():
            raise InputError(
                f"--ckpt_path {checkpoint} belongs to the run {run}, and a resumed run goes on in its own "
                "directory: set --trainer.default_root_dir, --experiment and --version to that run's, or leave "
                "--version out"
            )
        self.resumed_wandb_run = saved_run_id(checkpoint)
        config.version = run.name

    def _check_epochs(self, done: int) -> None:
        planned = self.config[self.subcommand].trainer.max_epochs
        if planned is not None and 0 <= planned < done:
            raise InputError(
                f"--trainer.max_epochs {planned}: the checkpoint already has {done} epochs; give {done} or more"
            )
        if planned == done:
            print_once(f"all {done} epochs are trained already; a larger --trainer.max_epochs trains more")

    def _epochs_of_budget(self, config: Namespace) -> int:
        epochs = budget_epochs(config.total_samples, expanded(self._settings())["data"].get("init_args") or {})
        if config.trainer.max_epochs not in (None, epochs):
            raise InputError(
                f"total_samples = {config.total_samples} means {epochs} epochs, but trainer.max_epochs = "
                f"{config.trainer.max_epochs}: set one of them to null"
            )
        return epochs

    def instantiate_classes(self) -> None:
        """Make module, data and Trainer. The settings that the run keeps stay as the user wrote them, with the grid.

        Raises:
            InputError: If a class refuses its arguments.
        """
        self._written = self._settings()
        try:
            if self.config[self.subcommand].grid or self.config[self.subcommand].seeds is not None:
                self.config = self.config.clone()
                self.config[self.subcommand] = self._expanded()
            super().instantiate_classes()
            if isinstance(self.trainer.strategy, ReplicateStrategy):
                self._take_share(self.trainer.strategy)
        except ValueError as error:
            if find_mistake(error) is not None:
                raise
            raise InputError(in_short(str(error))) from error

    def _take_share(self, strategy: ReplicateStrategy) -> None:
        """Make module and data again, with only this process's share of the replicates."""
        config = self.config[self.subcommand]
        groups = Namespace(model=config.model.clone(), data=config.data.clone())
        strategy.take_share(groups, self._written)
        made = self._parser(self.subcommand).instantiate_classes(groups)
        self.model, self.datamodule = made.model, made.data

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer. The run's CSV logger comes before all others, and checkpoints are written unless off.

        With `logger: false` the run still has its own directory, but no metrics.csv.
        """
        config = self._get(self.config_init, "trainer")
        names = self._get(self.config_init, "experiment"), self._get(self.config_init, "version")
        run_logger = RunLogger(config.default_root_dir, *names)
        if config.logger is False:
            kwargs["default_root_dir"] = run_logger.log_dir  # Lightning's log_dir if there is no logger
        else:
            others = config.logger if isinstance(config.logger, list) else [config.logger]
            others = [logger for logger in others if logger not in (None, True)]
            kwargs["logger"] = [run_logger, *(logger for logger in others if self._is_ready(logger, run_logger))]
        callbacks = config.callbacks if isinstance(config.callbacks, list) else [config.callbacks]
        callbacks = [*filter(None, callbacks)]
        if config.enable_progress_bar is not False and not any(isinstance(each, ProgressBar) for each in callbacks):
            callbacks.append(RunProgress())
        if config.enable_model_summary is not False and not any(isinstance(each, ModelSummary) for each in callbacks):
            callbacks.append(NetworkSummary())
        if config.enable_checkpointing is not False and not config.fast_dev_run:
            callbacks.append(self._get(self.config_init, "checkpoint"))
        kwargs["callbacks"] = callbacks
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InputError(f"trainer: {error}") from error
        if isinstance(self.model, Classifier):  # it has no teacher to compare with
            trainer.callbacks.remove(self._get(self.config_init, "records"))
        trainer.callbacks.append(RunFiles(self._written))  # last, so that the final status is written after checkpoints
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Train. A message about numbers that are not finite also names settings that are very large.

        Raises:
            InputError: If a weight or a loss is not finite.
        """
        try:
            super()._run_subcommand(subcommand)
        except (InputError, RuntimeError) as error:
            large = ", ".join(very_large(self._written))
            if not large or not any(words in str(error) for words in NOT_FINITE):
                raise
            kind = type(error) if isinstance(error, InputError) else InputError
            raise kind(f"{error}. Very large settings: {large}") from None

    def _settings(self) -> dict[str, Any]:
        """The nested settings of the run, as plain values."""
        config = self.config[self.subcommand]
        settings: dict[str, Any] = yaml.safe_load(self._parser(self.subcommand).dump(config, skip_unset=False))
        return settings

    def _settings_of(self, run: Path) -> dict[str, Any]:
        """The nested settings of a run, with today's defaults for settings that did not exist when it was written."""
        settings = read_config(run)
        parser = self._parser(self.subcommand)
        parser.exit_on_error = False
        try:
            known = parser.parse_path(str(run / "config.yaml"))
        except ArgumentError:  # it has settings that no longer exist
            return settings
        finally:
            parser.exit_on_error = True
        known_settings: dict[str, Any] = yaml.safe_load(parser.dump(known, skip_unset=False))
        return known_settings

    def _is_ready(self, logger: Any, run_logger: RunLogger) -> bool:
        """Prepare a logger (W&B's gets the run that it logs, TensorBoard's the run's name); whether it can be used."""
        if isinstance(logger, TensorBoardLogger) and logger.name == "lightning_logs":  # the default: no name was chosen
            logger._name, logger._version = str(Path(run_logger.log_dir).parent.name), Path(run_logger.log_dir).name
        if not isinstance(logger, WandbRunLogger):
            return True
        if logger.available:
            config = self.config[self.subcommand]
            version = Path(run_logger.log_dir).name
            logger.file_under(config.trainer.default_root_dir, config.experiment, version, expanded(self._written))
            if self.resumed_wandb_run is not None:
                logger.go_on(self.resumed_wandb_run)
        return logger.available

    def after_fit(self) -> None:
        """Print the outcome."""
        run = Path(str(self.trainer.log_dir))  # log_dir broadcasts, so every process has to read it
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:
            try:
                print_classifier_summary(run) if isinstance(self.model, Classifier) else print_summary(run)
            except InputError:  # nothing was evaluated, for example because of --trainer.limit_val_batches 0
                print(f"run written to {run}")
            if is_out_of_time(self.trainer):
                print(f"stopped by trainer.max_time; to go on: {command_to_resume(run)} --trainer.max_time null")
        if isinstance(self.trainer.strategy, ReplicateStrategy):
            self.trainer.strategy.leave()


def load_translated(text: str) -> Any:
    """Read a config file or a value of the command line like jsonargparse, and translate older settings."""
    return translated(get_loader("yaml")(text))


set_loader("tsl", load_translated, exceptions=(yaml.YAMLError,))


def fixed_seed(seed_everything: bool | int) -> int:
    """The seed that model and data start from.

    Raises:
        InputError: If it is not a whole number that numpy accepts as a seed.
    """
    if isinstance(seed_everything, bool) or not 0 <= seed_everything < 2**32:
        raise InputError(
            f"seed_everything = {seed_everything}: expected a whole number from 0 to {2**32 - 1}, so that the run can "
            "be repeated"
        )
    return seed_everything


def run(arguments: Sequence[str]) -> None:
    """Run the command line; a mistake in the input ends it with one message and status 2.

    If a signal stops the run, the message has the command that resumes it, and the status is 128 + the signal's number.

    The environment variable TSL_DEBUG=1 also shows the traceback and Lightning's own messages.
    """
    if not os.environ.get("TSL_DEBUG"):
        for library in ("pytorch_lightning", "lightning_fabric"):  # they print devices, tips and the seed
            logging.getLogger(library).setLevel(logging.WARNING)
    for expected in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", expected)
    with StopSignals() as signals:
        try:
            _fit(arguments, signals)
        except BaseException as error:
            if signals.received is not None:
                print_once(signals.describe(), file=sys.stderr)
                raise Stopped(signals.received) from None
            mistake = find_mistake(error)
            if mistake is None and isinstance(error, Exception):
                error.add_note(BUG)
            if mistake is None or os.environ.get("TSL_DEBUG"):
                raise
            print(f"error: {mistake}", file=sys.stderr)
            sys.exit(2)


def _fit(arguments: Sequence[str], signals: StopSignals) -> None:
    TeacherStudentCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=None,  # RunFiles writes config.yaml, once the start has succeeded
        parser_kwargs={"parser_mode": "tsl"},
        seed_everything_default=0,
        auto_configure_optimizers=False,  # the module makes its own
        load_from_checkpoint_support=False,
        trainer_defaults={
            "default_root_dir": "runs",
            "num_sanity_val_steps": -1,  # all of the evaluation data: the records of epoch 0, before training
            "log_every_n_steps": 1,
            "callbacks": [signals],
        },
        args=["fit", *find_configs(arguments)],
    )
