"""The scalars that a run logs, and what W&B keeps of each in its table of runs."""

from collections.abc import Collection, Mapping

from tsl.replicates import MOST_SETTINGS

EPOCH = "epoch"
STEP = "trainer/global_step"  # the name that Lightning's W&B logger gives the optimizer step

LOSSES = ("train/loss", "val/loss")
ACCURACIES = ("val/accuracy", "val/teacher_accuracy", "val/teacher_agreement")
LAYER = ("rho_mean", "recovered_0.95")
NULL_LEVEL = "rho_mean_null"


def summaries(layers: int, alignments: Mapping[str, bool | None], settings: Collection[str] = ()) -> dict[str, str]:
    """What of each scalar's values is kept as its summary, in the words of `wandb.Run.define_metric`.

    Args:
        layers: Hidden layers of the networks.
        alignments: The layer-wise alignments that are logged: of each, whether more is closer (None: unknown).
        settings: What sets groups of replicates apart, each a series of its own, as `tsl.metrics.replicates` names it.

    Returns:
        By the scalar's name, "min,last" where less is better, "max,last" where more is, "last" for null levels and
        standard deviations.

    >>> summaries(1, {})["specialization/layer1/rho_mean"]
    'max,last'
    """
    kept = dict.fromkeys(LOSSES, "min,last") | dict.fromkeys(ACCURACIES, "max,last")
    best = {True: "max,last", False: "min,last", None: "min,max,last"}
    for layer in range(1, layers + 1):
        kept |= dict.fromkeys((f"specialization/layer{layer}/{name}" for name in LAYER), "max,last")
        kept[f"specialization/layer{layer}/{NULL_LEVEL}"] = "last"
        for name, more_is_closer in alignments.items():
            kept[f"alignment/layer{layer}/{name}"] = best[more_is_closer]
            kept[f"alignment/layer{layer}/{name}_null"] = "last"
    if len(settings) > MOST_SETTINGS:
        return {f"{name}/mean_over_settings": summary for name, summary in kept.items()}
    kept |= {f"{name}_std": "last" for name in kept}
    if len(settings) < 2:
        return kept
    return {f"{name}/{setting}": summary for setting in settings for name, summary in kept.items()}
