"""The statistics of each experiment, by their names, for replicates with the same settings."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsl.experiments.statistic import Statistic, over_seeds
from tsl.figures import sample_size
from tsl.figures.trained_teacher import ACCURACY, TEACHER_ACCURACY
from tsl.names import NODE_RECOVERED, RECOVERED
from tsl.runs import ReplicateGroup, Run
from tsl.runs.summary import last_epoch

OPTIMIZER = "model.init_args.optimizer"

Outcome = Callable[[ReplicateGroup], dict[str, Statistic | str]]


def outcomes(
    run: Run, outcome: Outcome, over: Sequence[str] = ()
) -> Iterator[tuple[ReplicateGroup, dict[str, Statistic | str]]]:
    """The outcome of each group of replicates with the same settings.

    Args:
        run: The run.
        outcome: One of the functions below.
        over: Settings, by their dotted names, in which the replicates of one outcome may differ.

    Yields:
        The group, whose `varying` leaves out the settings `over`, and its outcome.
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


def recovery(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E2: how many teacher nodes are recovered, early and at the end, and how many students the strongest two have."""
    nodes = _rows(group, "teacher_nodes")
    early, end = nodes[(nodes["epoch"] == 5) & (nodes["split"] == "val")], last_epoch(nodes)
    always = end.groupby(["layer", "node"])[NODE_RECOVERED].all()
    last = end[end["node"] == end["node"].max()]
    return {
        f"recovered at {RECOVERED} after 5 epochs": _shares(early) if len(early) else "not recorded",
        "at the end": _shares(end),
        "nodes recovered in every replicate": Statistic(float(always.sum()), None, len(group.replicates), ".0f"),
        "recovered, last node": _shares(last),
        "students on node 1 over node 2": competition(group),
    }


def competition(group: ReplicateGroup) -> Statistic | str:
    """The number of students with a correlation above 0.9 to teacher node 1, over that to node 2, of all seeds."""
    students = last_epoch(_rows(group, "student_nodes"))
    best = students.loc[students["best_correlation"] > 0.9, "best_teacher"]
    first, second = (best == 1).sum(), (best == 2).sum()
    return Statistic(float(first / second), None, len(group.replicates), ".2f") if second else "no student on node 2"


def final_loss(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E3: the evaluation loss at the last epoch."""
    losses = _rows(group, "losses")
    log_loss = np.log10(losses.loc[losses["epoch"] == losses["epoch"].max(), "val_mse"])
    return {"log10 evaluation loss at the end": over_seeds(log_loss)}


def mean_correlation(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E4: the mean over teacher nodes of their best correlation."""
    return {"rho_mean at the end": over_seeds(last_epoch(_rows(group, "layers"))["rho_mean"])}


def corner(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E1: `mean_correlation`, the least correlation of strong student nodes (‖v_k‖ > 0.2), and how many are low."""
    students = _rows(group, "student_nodes")
    seen = "train" if "train" in set(students["split"]) else "val"  # the paper's figure is of the training inputs
    students = students[(students["split"] == seen) & (students["epoch"] == students["epoch"].max())]
    strong = students.loc[students["strength"] > 0.2, "best_correlation"]
    seeds = len(group.replicates)
    least: Statistic | str = Statistic(float(strong.min()), None, seeds) if len(strong) else "no strong node"
    below = Statistic(100 * float((strong <= 0.98).mean()), None, seeds, ".1f") if len(strong) else "no strong node"
    return mean_correlation(group) | {
        "least correlation of a strong student": least,
        "strong students at or under 0.98, %": below,
    }


def layer_correlations(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E6, E7 and E10: the losses at the end, in the trained objective, and ρ_mean of each layer."""
    losses, layers = _rows(group, "losses"), last_epoch(_rows(group, "layers"))
    end = losses[losses["epoch"] == losses["epoch"].max()]
    by_layer = {
        f"rho_mean of layer {layer} at the end": over_seeds(rows["rho_mean"]) for layer, rows in layers.groupby("layer")
    }
    return {
        "training loss at the end": over_seeds(end["train_loss"], ".3g"),
        "evaluation loss at the end": over_seeds(end["val_loss"], ".3g"),
        "log10 evaluation loss at the end": over_seeds(np.log10(end["val_loss"])),
        **by_layer,
    }


def best_rates(runs: Sequence[Run]) -> list[str]:
    """E10-rates: a sentence for each optimizer on the learning rate with the least evaluation loss at the end."""
    best: dict[str, tuple[float, float, str]] = {}
    for run in runs:
        optimizer = str(run.settings[f"{OPTIMIZER}.class_path"]).rsplit(".", 1)[-1]
        loss = run.table("losses", run.recorded_epochs("losses")[-1:])["val_loss"].mean()
        rho = last_epoch(run.table("layers")).groupby("layer")["rho_mean"].mean()
        words = f"evaluation loss {loss:.3g}, rho_mean of the layers {', '.join(f'{value:.3f}' for value in rho)}"
        outcome = loss, run.settings[f"{OPTIMIZER}.init_args.lr"], words
        best[optimizer] = min(best.get(optimizer, outcome), outcome)
    return [f"{optimizer} does best at learning rate {rate:g}: {words}" for optimizer, (_, rate, words) in best.items()]


def accuracy_and_correlations(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E8: the student's accuracy on labels at the end, and ρ_mean of each layer before training and at the end."""
    losses, layers = _rows(group, "losses"), _rows(group, "layers")
    end = losses[losses["epoch"] == losses["epoch"].max()]
    untrained = layers[(layers["epoch"] == 0) & (layers["split"] == "val")]
    named = {"accuracy of the teacher, %": TEACHER_ACCURACY, "of the student, %": ACCURACY}
    columns: dict[str, Statistic | str] = {
        words: over_seeds(100 * end[column], ".1f") for words, column in named.items() if column in end
    }
    for words, rows in (("before training", untrained), ("at the end", last_epoch(layers))):
        for layer, of_layer in rows.groupby("layer"):
            columns[f"rho_mean of layer {layer} {words}"] = over_seeds(of_layer["rho_mean"])
    return columns


def few_and_many_samples(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E5: the correlation with the fewest and the most samples, and how many samples bring it to 0.98."""
    of_layers = sample_size.outcomes([group.run])
    of_layers = of_layers[of_layers["replicate"].isin(group.replicates)]
    by_size = of_layers.groupby("augmented_size")["rho_mean"]
    rho = by_size.mean()
    enough = rho.index[rho >= 0.98]
    seeds = int(by_size.size().min())
    return {
        "fewest samples": Statistic(float(rho.index[0]), None, seeds, ",.0f"),
        "rho_mean with them": over_seeds(by_size.get_group(rho.index[0])),
        "most samples": Statistic(float(rho.index[-1]), None, seeds, ",.0f"),
        "rho_mean with these": over_seeds(by_size.get_group(rho.index[-1])),
        "samples for 0.98": Statistic(float(enough[0]), None, seeds, ",.0f") if len(enough) else "more than the most",
    }


def range_of_correlations(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """E9: the least and greatest of the teacher nodes' best correlations at the end, over nodes and seeds."""
    best = last_epoch(_rows(group, "teacher_nodes"))["best_correlation"]
    seeds = len(group.replicates)
    return {
        "least best correlation at the end": Statistic(float(best.min()), None, seeds),
        "greatest": Statistic(float(best.max()), None, seeds),
    } | mean_correlation(group)


def _rows(group: ReplicateGroup, table: str) -> pd.DataFrame:
    return group.rows(group.run.table(table))


def _shares(nodes: pd.DataFrame) -> Statistic:
    """The percentage of rows that are recovered in each seed."""
    return over_seeds(100 * nodes.groupby("replicate")[NODE_RECOVERED].mean(), ".1f")
