"""Training in several processes: each has a share of every minibatch or, with the strategy `replicates`, of replicates.

Letters: R replicates, P processes.
"""

import itertools
import pickle
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor

from tsl.errors import InputError
from tsl.grid import expanded, seeds_of_run, set_value
from tsl.replicates import per_replicate, replicate_seeds, settings_along_replicates

NAME = "replicates"

UNDIVIDED = ("TeacherOfRun", "FromFile", "Pretrained", "External", "ExternalStudent", "SeedRecords")
"""Classes that need all replicates in one process: they hold networks from elsewhere, or compare replicates."""

REPLICATED = ("state_dict", "optimizer_states", "diverged")
"""The entries of a checkpoint whose tensors have a leading replicate axis, except single numbers."""


class ReplicateStrategy(DDPStrategy):
    """Divides the replicates among processes, `--trainer.strategy replicates`.

    Each process trains its share of the replicates like a run of its own, so training steps need no communication.
    Records, scalars and checkpoints are gathered before they are written, so the files equal those of one process.
    Lightning's `ddp` starts the processes. There is no process group of torch.distributed, because metrics would be
    summed over it; the gathered values go through a `TCPStore`.
    """

    strategy_name = NAME
    share = range(0)

    def take_share(self, groups: Any, config: Mapping[str, Any]) -> None:
        """Reduce the parsed settings of the model and the data to this process's share of the replicates.

        Args:
            groups: The Namespaces of `model` and `data`, with or without lists as long as the replicates.
            config: The nested settings of the run.

        Raises:
            InputError: If there are fewer replicates than processes, or a class needs all replicates together.
        """
        self.replicates = count = config["replicates"]
        if count < self.world_size:
            raise InputError(
                f"trainer.strategy = {NAME}: expected at least one replicate for each process, but there are {count} "
                f"replicates and {self.world_size} processes: set trainer.strategy to ddp, which divides minibatches, "
                f"or trainer.devices to {count} or less"
            )
        for name, kind in class_paths(config):
            if kind.rpartition(".")[2] in UNDIVIDED:
                raise InputError(
                    f"{name} = {kind} needs all replicates in one process, but trainer.strategy = {NAME} divides them: "
                    "set trainer.devices to 1, or trainer.strategy to ddp"
                )
        shares = np.array_split(np.arange(count), self.world_size)
        self.share = range(int(shares[self.global_rank][0]), int(shares[self.global_rank][-1]) + 1)
        for name, value in settings_along_replicates(expanded(config)).items():
            if isinstance(value, list) and name.split(".")[0] in groups:
                set_value(groups, name, [per_replicate(value, count, name)[r] for r in self.share])
        for group in ("model", "data"):
            seeds = replicate_seeds(seeds_of_run(config, group), count)
            groups[group].init_args.seed = [seeds[r] for r in self.share]
            groups[group].init_args.replicates = len(self.share)

    def setup(self, trainer: pl.Trainer) -> None:
        """Set up the module and its optimizer; see the base class.

        Raises:
            InputError: If the Trainer's model was not made for this process's share.
        """
        if not self.share:
            raise InputError(
                f"trainer.strategy = {NAME} works only in python -m tsl.fit, which gives each process its share of the "
                "replicates: start the run with it, or set trainer.strategy to ddp"
            )
        super().setup(trainer)

    def setup_distributed(self) -> None:
        """Connect the processes."""
        self.set_world_ranks()
        environment = self.cluster_environment
        assert environment is not None
        self._calls = itertools.count()
        self._store = torch.distributed.TCPStore(
            environment.main_address,
            environment.main_port,
            self.world_size,
            is_master=self.global_rank == 0,
            timeout=timedelta(days=7),  # long enough for any run; a process that fails ends the others anyway
        )

    def configure_ddp(self) -> None:
        """Leave the module as it is: no gradient crosses processes."""

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in their order; every process has to call it."""
        call = next(self._calls)
        try:
            self._store.set(f"{call}/{self.global_rank}", pickle.dumps(value))  # type: ignore[arg-type]
            values = [pickle.loads(self._store.get(f"{call}/{rank}")) for rank in range(self.world_size)]
        except torch.distributed.DistNetworkError:
            raise SystemExit(1) from None  # the first process has failed, and prints the reason
        if call > 0:  # every process has reached this call, so it has read the values of the call before
            self._store.delete_key(f"{call - 1}/{self.global_rank}")
        return values

    def leave(self) -> None:
        """End the connection; the first process, which holds it, waits until the others have left."""
        if self.global_rank > 0:
            self._store.set(f"left/{self.global_rank}", "")
        elif self.world_size > 1:
            self._store.wait([f"left/{rank}" for rank in range(1, self.world_size)])

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Wait until all processes have reached this call."""
        self.gather(None)

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """The object of the process `src`, in every process."""
        return self.gather(obj)[src]

    def reduce(self, tensor: Any, group: Any = None, reduce_op: Any = "mean") -> Any:
        """A scalar to log, unchanged: it is already the same in all processes (`StepModule.log_scalars`)."""
        return tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """Whether all processes have decided yes or, if `all` is false, whether any process has."""
        decisions = self.gather(bool(decision))
        return min(decisions) if all else max(decisions)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write one checkpoint with all replicates, in the first process."""
        parts = self.gather({key: _on_cpu(checkpoint[key]) for key in REPLICATED if key in checkpoint})
        super().save_checkpoint(checkpoint | _joined(parts), filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read this process's share of a checkpoint, which any number of processes may have written."""
        checkpoint = super().load_checkpoint(checkpoint_path, weights_only)
        share = slice(self.share.start, self.share.stop)
        return checkpoint | {key: _part(checkpoint[key], share) for key in REPLICATED if key in checkpoint}


StrategyRegistry.register(NAME, ReplicateStrategy, description="Divides the replicates of tsl among processes.")


def minibatch_share(trainer: pl.Trainer | None) -> tuple[int, int]:
    """The index of this process among those that share each minibatch, and the number of those processes."""
    if trainer is None or isinstance(trainer.strategy, ReplicateStrategy):
        return 0, 1
    return trainer.global_rank, trainer.world_size


def replicates_of_run(trainer: pl.Trainer) -> int:
    """The number of replicates that all processes train together; 1 for modules without replicates."""
    if isinstance(trainer.strategy, ReplicateStrategy):
        return trainer.strategy.replicates
    return getattr(trainer.lightning_module, "replicates", 1)


def gather_replicates(trainer: pl.Trainer, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gather quantities of each process's replicates `[R / P, ...]` into those of all replicates `[R, ...]`."""
    if not isinstance(trainer.strategy, ReplicateStrategy):
        return dict(values)
    parts = trainer.strategy.gather({name: value.cpu() for name, value in values.items()})
    return {name: torch.cat([part[name] for part in parts]).to(value.device) for name, value in values.items()}


def gather_frames(trainer: pl.Trainer, frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Gather tables of each process's replicates, with a column `replicate`, into tables of all replicates."""
    strategy = trainer.strategy
    if not isinstance(strategy, ReplicateStrategy):
        return list(frames)
    own = [frame.assign(replicate=frame["replicate"] + strategy.share.start) for frame in frames]
    return [pd.concat(parts, ignore_index=True) for parts in zip(*strategy.gather(own), strict=True)]


def class_paths(config: Any, name: str = "") -> list[tuple[str, str]]:
    """The dotted names of the settings that are objects, and their classes."""
    if isinstance(config, list):
        config = {str(index): item for index, item in enumerate(config)}
    if not isinstance(config, Mapping):
        return []
    here = [(name, str(config["class_path"]))] if "class_path" in config else []
    return here + [each for key, value in config.items() for each in class_paths(value, f"{name}.{key}".strip("."))]


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(each) for key, each in value.items()}
    return [_on_cpu(each) for each in value] if isinstance(value, list) else value


def _joined(parts: Sequence[Any]) -> Any:
    """The entries of a checkpoint of all replicates, joined from those of each process."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts)) if first.ndim else first
    if isinstance(first, Mapping):
        return {
            key: [rate for part in parts for rate in part[key]]
            if key == "rates" and value is not None
            else _joined([part[key] for part in parts])
            for key, value in first.items()
        }
    return [_joined(each) for each in zip(*parts, strict=True)] if isinstance(first, list) else first


def _part(value: Any, share: slice) -> Any:
    """A process's share of an entry of a checkpoint of all replicates."""
    if isinstance(value, Tensor):
        return value[share].clone() if value.ndim else value
    if isinstance(value, Mapping):
        return {
            key: each[share] if key == "rates" and each is not None else _part(each, share)
            for key, each in value.items()
        }
    return [_part(each, share) for each in value] if isinstance(value, list) else value
