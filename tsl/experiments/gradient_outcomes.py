"""Statistics of the gradient's size when teacher nodes are recovered."""

from collections.abc import Sequence

import pandas as pd

from tsl.experiments.statistic import Statistic, over_seeds
from tsl.figures.gradient_at_recovery import GRADIENT, at_first_recovery, never_recovered
from tsl.figures.specialization_order import confidence, rank_correlations
from tsl.runs import ReplicateGroup, Run


def gradient_order(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """The rank correlation of strength and gradient sup-norm at first recovery, and that sup-norm's relative size.

    The rank correlation is computed in each seed, once over all nodes, of which those never recovered are ranked last,
    and once over the recovered nodes. The relative size is the sup-norm divided by the seed's greatest sup-norm at any
    epoch; a seed counts if it recovers the node.
    """
    nodes = at_first_recovery([group.run])
    nodes = nodes[nodes["replicate"].isin(group.replicates)]
    recovered = nodes[nodes[GRADIENT] > 0]
    weakest = recovered.loc[recovered.groupby("replicate")["strength"].idxmin(), "share"]
    return {
        "rank correlation of strength and gradient": _over_known(rank_correlations(nodes, GRADIENT)),
        "of recovered nodes": _over_known(rank_correlations(recovered, GRADIENT)),
        "gradient's share of its greatest, node 1": _over_known(recovered[recovered["node"] == 1], "share"),
        "weakest node recovered": over_seeds(weakest) if len(weakest) else "none",
        "never recovered": never_recovered(nodes),
    }


def gradient_in_words(runs: Sequence[Run]) -> list[str]:
    """A sentence for each polarity and curve, with the 95 % interval over seeds, and one on the resolution."""
    nodes = at_first_recovery(runs)
    told = []
    for (polarity, curve), rows in nodes.groupby(["polarity", "curve"], observed=True, dropna=False):
        correlations = rank_correlations(rows, GRADIENT)["rank_correlation"]
        mean, low, high = confidence(correlations)
        known = int(correlations.notna().sum())
        value = f"{mean:.3f} ({low:.3f} to {high:.3f}, 95 %, {known} of {len(correlations)} seeds)"
        told.append(
            f"polarity {polarity:g}, {curve}: rank correlation of strength and gradient sup-norm at first recovery "
            f"{value if known else 'undefined'}; never recovered: {never_recovered(rows)}"
        )
    epochs = runs[0].recorded_epochs("teacher_nodes")
    steps = runs[0].settings.get("data.init_args.steps_per_epoch")
    of_steps = f" of {steps:,} steps" if steps else ""
    told.append(
        f"nodes are measured every {epochs[1] - epochs[0]} epochs{of_steps}; a seed whose nodes are all recovered at "
        "the same epoch has no rank correlation"
    )
    return told


def _over_known(frame: pd.DataFrame, column: str = "rank_correlation") -> Statistic | str:
    known = frame[column].dropna()
    return over_seeds(known) if len(known) else "undefined"
