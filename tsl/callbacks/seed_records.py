"""Compares the replicates of a run with each other: students of one teacher, or networks of one task.

Letters: R replicates, B inputs, n nodes of a layer of one network.
"""

from itertools import permutations

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor

from tsl.data.batch import Labelled
from tsl.errors import InputError
from tsl.metrics import NodeCorrelation
from tsl.metrics.functional import one_to_one_mean, positions_as_samples, shuffled_samples
from tsl.metrics.functional.cross_moments import constant_nodes
from tsl.modules.epochs import evaluated_epoch, is_recorded
from tsl.modules.steps import StepModule
from tsl.randomness import generator
from tsl.runs.records import write_table

MOST_NODES = 8192
"""The most nodes of one layer in all replicates; correlations then take half a gigabyte, and null levels as much."""


class SeedRecords(pl.Callback):
    """Writes how alike the networks of several seeds are, before training and after the last epoch.

    All networks get the validation inputs of replicate 0. For every pair of replicates, the table `seed_pairs` has the
    mean correlation of nodes matched one to one (over the nodes of the replicate with fewer). For every node,
    `seed_nodes` has its best correlation in each other replicate. Constant nodes are left out. Null levels are the same
    measures with the other network on shuffled inputs.

    It works with `tsl.modules.TeacherStudent` and `tsl.modules.Classifier`. The figure of these tables is drawn by
    `python -m tsl.figures universality RUN`.
    """

    def __init__(self) -> None:
        self._metrics: list[tuple[NodeCorrelation, NodeCorrelation]] = []
        self._shuffling = generator("null_level", 0)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Refuse a single network, and more than `MOST_NODES` nodes.

        Raises:
            InputError: If there is one replicate, or a layer has more nodes in all replicates.
        """
        replicates, widest = pl_module.replicates, max(pl_module.trained_network.widths)
        if replicates < 2:
            raise InputError(
                "tsl.callbacks.SeedRecords compares replicates with each other: set --replicates to 2 or more"
            )
        if replicates * widest > MOST_NODES:
            raise InputError(
                f"tsl.callbacks.SeedRecords: expected at most {MOST_NODES} nodes of a layer in all replicates, but "
                f"there are {replicates} replicates × {widest}; lower --replicates"
            )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Make new metrics if this epoch is measured."""
        self._metrics = []
        if is_recorded(trainer) and evaluated_epoch(trainer) in (0, trainer.max_epochs):
            self._shuffling = generator("null_level", 0)
            for width in pl_module.trained_network.widths:
                nodes = pl_module.replicates * width
                pair = NodeCorrelation(nodes, nodes), NodeCorrelation(nodes, nodes)
                self._metrics.append((pair[0].to(pl_module.device), pair[1].to(pl_module.device)))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: StepModule,
        outputs: object,
        batch: Tensor | Labelled,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch of validation inputs."""
        if not self._metrics or dataloader_idx > 0:
            return
        inputs = batch.inputs if isinstance(batch, Labelled) else batch
        layers = pl_module.trained_network.activations(inputs[:1].expand_as(inputs)).post
        for (value, null), post in zip(self._metrics, layers, strict=True):
            shuffled = shuffled_samples(post.flatten(2), self._shuffling).reshape(post.shape)
            nodes, other = _side_by_side(post), _side_by_side(shuffled)
            value.update(nodes, nodes)
            null.update(nodes, other)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: StepModule) -> None:
        """Write both tables."""
        if not self._metrics:
            return
        epoch, run = evaluated_epoch(trainer), trainer.log_dir  # log_dir broadcasts, so every process has to read it
        pairs, nodes = zip(
            *(
                seed_frames(*metrics, pl_module.replicates, layer)
                for layer, metrics in enumerate(self._metrics, start=1)
            ),
            strict=True,
        )
        self._metrics = []
        if trainer.is_global_zero and not trainer.fast_dev_run:
            for table, frames in (("seed_pairs", pairs), ("seed_nodes", nodes)):
                frame = pd.concat(frames, ignore_index=True).assign(epoch=epoch)
                if not frame.empty:
                    write_table(run, table, epoch, frame)


def _side_by_side(layer: Tensor) -> Tensor:
    """The nodes of all replicates over the same samples: `[R, B, n]`, or maps, as `[samples, R · n]`."""
    samples = positions_as_samples(layer) if layer.ndim == 5 else layer
    return samples.transpose(0, 1).flatten(1)


def seed_frames(
    value: NodeCorrelation, null: NodeCorrelation, replicates: int, layer: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `seed_pairs` and `seed_nodes` of one layer.

    Args:
        value: Correlations of all nodes of all replicates, replicate by replicate.
        null: The same with shuffled inputs.
        replicates: Number R.
        layer: The layer's number.
    """
    constant, _ = constant_nodes(value.all_moments())
    varying = [(~nodes).nonzero().flatten() for nodes in constant.reshape(replicates, -1)]
    blocks = [
        metric.compute().unflatten(1, (replicates, -1)).unflatten(0, (replicates, -1)) for metric in (value, null)
    ]
    pairs, nodes = [], []
    for r, other in permutations(range(replicates), 2):
        if not len(varying[r]) or not len(varying[other]):
            continue
        rho, of_null = (block[r, :, other][varying[r]][:, varying[other]] for block in blocks)
        where = {"replicate": r, "other_replicate": other, "layer": layer}
        if r < other:
            pairs.append({**where, "one_to_one": _matched(rho), "one_to_one_null": _matched(of_null)})
        best = {"best_correlation": rho.amax(dim=1), "best_correlation_null": of_null.amax(dim=1)}
        numbers = {"node": varying[r] + 1, **best}
        nodes.append(pd.DataFrame({name: values.numpy(force=True) for name, values in numbers.items()}).assign(**where))
    return pd.DataFrame(pairs), pd.concat(nodes) if nodes else pd.DataFrame()


def _matched(rho: Tensor) -> float:
    return float(one_to_one_mean(rho if rho.shape[0] <= rho.shape[1] else rho.mT))
