"""The columns of an experiment's closing table, for replicates with the same settings."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsl.figures import sample_size
from tsl.figures.trained_teacher import ACCURACY, TEACHER_ACCURACY
from tsl.names import NODE_RECOVERED, RECOVERED
from tsl.runs import ReplicateGroup, Run
from tsl.runs.summary import last_epoch


def outcomes(
    run: Run, outcome: Callable[[ReplicateGroup], dict[str, str]], over: Sequence[str] = ()
) -> Iterator[tuple[ReplicateGroup, dict[str, str]]]:
    """The outcome of each group of replicates with the same settings.

    Args:
        run: The run.
        outcome: One of the functions below.
        over: Settings, by their dotted names, in which the replicates of one outcome may differ.

    Yields:
        The group, of which `varying` does not have those `over`, and its outcome.
    """
    varying: dict[str, dict[str, Any]] = {}
    replicates: dict[str, list[int]] = {}
    for group in run.groups:
        others = {key: value for key, value in group.varying.items() if key not in over}
        varying[str(others)] = others
        replicates.setdefault(str(others), []).extend(group.replicates)
    for name, others in varying.items():
        group = ReplicateGroup(run, others, sorted(replicates[name]))
        yield group, outcome(group)


def recovery(group: ReplicateGroup) -> dict[str, str]:
    """E2: how many teacher nodes are recovered, early and at the end."""
    nodes = _rows(group, "teacher_nodes")
    early, end = nodes[(nodes["epoch"] == 5) & (nodes["split"] == "val")], last_epoch(nodes)
    always = end.groupby(["layer", "node"])[NODE_RECOVERED].all()
    soon = f"{early[NODE_RECOVERED].mean():.1%}" if len(early) else "not recorded"
    return {
        f"recovered at {RECOVERED} after 5 epochs": soon,
        "at the end": f"{end[NODE_RECOVERED].mean():.1%}",
        "nodes recovered in every replicate": f"{always.sum()} of {len(always)}",
    }


def final_loss(group: ReplicateGroup) -> dict[str, str]:
    """E3: the evaluation loss at the last epoch."""
    losses = _rows(group, "losses")
    log_loss = np.log10(losses.loc[losses["epoch"] == losses["epoch"].max(), "val_mse"])
    return {"log10 evaluation loss at the end": _mean_and_std(log_loss)}


def mean_correlation(group: ReplicateGroup) -> dict[str, str]:
    """E1 and E4: the mean over teacher nodes of their best correlation."""
    return {"rho_mean at the end": _mean_and_std(last_epoch(_rows(group, "layers"))["rho_mean"])}


def layer_correlations(group: ReplicateGroup) -> dict[str, str]:
    """E6, E7 and E10: the evaluation loss at the end, and ρ_mean of each layer."""
    by_layer = last_epoch(_rows(group, "layers")).groupby("layer")["rho_mean"].mean()
    return final_loss(group) | {"rho_mean of layers 1, 2, … at the end": " ".join(f"{rho:.3f}" for rho in by_layer)}


def accuracy_and_correlations(group: ReplicateGroup) -> dict[str, str]:
    """E8: the student's accuracy on labels at the end, and ρ_mean of each layer before training and at the end."""
    losses, layers = _rows(group, "losses"), _rows(group, "layers")
    end = losses[losses["epoch"] == losses["epoch"].max()]
    untrained = layers[(layers["epoch"] == 0) & (layers["split"] == "val")]
    named = {"accuracy of the teacher, %": TEACHER_ACCURACY, "of the student, %": ACCURACY}
    columns = {words: _mean_and_std(100 * end[column], 1) for words, column in named.items() if column in end}
    for words, rows in (("before training", untrained), ("at the end", last_epoch(layers))):
        by_layer = rows.groupby("layer")["rho_mean"].mean()
        columns[f"rho_mean of layers 1, 2, … {words}"] = " ".join(f"{rho:.3f}" for rho in by_layer)
    return columns


def few_and_many_samples(group: ReplicateGroup) -> dict[str, str]:
    """E5: the correlation with the fewest and the most samples, and how many samples bring it to 0.98."""
    of_layers = sample_size.outcomes([group.run])
    of_layers = of_layers[of_layers["replicate"].isin(group.replicates)]
    rho = of_layers.groupby("augmented_size")["rho_mean"].mean()
    enough = rho.index[rho >= 0.98]
    return {
        "rho_mean with the fewest samples": f"{rho.iloc[0]:.3f} (N = {rho.index[0]:,})",
        "with the most": f"{rho.iloc[-1]:.3f} (N = {rho.index[-1]:,})",
        "samples for 0.98": f"{enough[0]:,}" if len(enough) else f"more than {rho.index[-1]:,}",
    }


def range_of_correlations(group: ReplicateGroup) -> dict[str, str]:
    """E9: the range of teacher nodes' best correlations at the end, each the mean over replicates."""
    by_node = last_epoch(_rows(group, "teacher_nodes")).groupby("node")["best_correlation"].mean()
    return {"best correlations at the end": f"{by_node.min():.3f} to {by_node.max():.3f}"} | mean_correlation(group)


def _rows(group: ReplicateGroup, table: str) -> pd.DataFrame:
    return group.rows(group.run.table(table))


def _mean_and_std(over_replicates: pd.Series, digits: int = 3) -> str:
    std = over_replicates.std() if len(over_replicates) > 1 else 0.0
    return f"{over_replicates.mean():.{digits}f} ± {std:.{digits}f}"
