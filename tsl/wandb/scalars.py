"""The scalars that a run logs, and their summaries in W&B's table of runs."""

from collections.abc import Collection, Mapping

from tsl.names import (
    ACCURACY_COLUMNS,
    LAYER_SCALARS,
    LEARNING_RATE,
    NULL,
    TRAIN_LOSS,
    VAL_LOSS,
    alignment_scalar,
    specialization_scalar,
)
from tsl.replicates import MOST_SETTINGS

EPOCH = "epoch"
STEP = "trainer/global_step"  # the name that Lightning's W&B logger gives the optimizer step

LOSSES = (TRAIN_LOSS, VAL_LOSS)
ACCURACIES = tuple(f"val/{name}" for name in ACCURACY_COLUMNS)


def summaries(layers: int, alignments: Mapping[str, bool | None], settings: Collection[str] = ()) -> dict[str, str]:
    """The summary of each scalar, in the words of `wandb.Run.define_metric`.

    Args:
        layers: The number of hidden layers of the networks.
        alignments: The layer-wise alignments that are logged, and whether a higher value means closer (None: unknown).
        settings: The labels of groups of replicates with the same settings; each group has a series of its own.

    Returns:
        The summary by the scalar's name: "min,last" if lower is better, "max,last" if higher is better, and "last" for
        null levels and standard deviations.

    >>> summaries(1, {})["specialization/layer1/rho_mean"]
    'max,last'
    """
    kept = dict.fromkeys(LOSSES, "min,last") | dict.fromkeys(ACCURACIES, "max,last") | {LEARNING_RATE: "last"}
    best = {True: "max,last", False: "min,last", None: "min,max,last"}
    for layer in range(1, layers + 1):
        for name in LAYER_SCALARS.values():
            kept[specialization_scalar(layer, name)] = "last" if name.endswith(NULL) else "max,last"
        for name, more_is_closer in alignments.items():
            kept[alignment_scalar(layer, name)] = best[more_is_closer]
            kept[alignment_scalar(layer, f"{name}{NULL}")] = "last"
    if len(settings) > MOST_SETTINGS:
        return {f"{name}/mean_over_settings": summary for name, summary in kept.items()}
    kept |= {f"{name}_std": "last" for name in kept}
    if len(settings) < 2:
        return kept
    return {f"{name}/{setting}": summary for setting in settings for name, summary in kept.items()}
