"""The scalars that a run logs, and what W&B keeps of each in its table of runs."""

from collections.abc import Mapping

EPOCH = "epoch"
STEP = "trainer/global_step"  # the name that Lightning's W&B logger gives the optimizer step

LOSSES = ("train/loss", "val/loss")
ACCURACIES = ("val/accuracy", "val/teacher_accuracy", "val/teacher_agreement")
LAYER = ("rho_mean", "recovered_0.95")
NULL_LEVEL = "rho_mean_null"


def summaries(layers: int, alignments: Mapping[str, bool | None]) -> dict[str, str]:
    """What of each scalar's values is kept as its summary, in the words of `wandb.Run.define_metric`.

    Args:
        layers: Hidden layers of the networks.
        alignments: The layer-wise alignments that are logged: of each, whether more is closer (None: unknown).

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
    return kept | {f"{name}_std": "last" for name in kept}
