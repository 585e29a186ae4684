"""How long to train, in training samples: runs of different training sizes then cost the same."""

from collections.abc import Mapping
from typing import Any

from tsl.errors import InputError


def budget_epochs(total_samples: int, data: Mapping[str, Any]) -> int:
    """The epochs after which a student has seen so many training samples.

    An epoch counts for steps_per_epoch × batch_size samples, or for train_size where steps_per_epoch is not given, of
    which the last train_size mod batch_size fill no minibatch and are left out: of 5,000 at batch size 64, 0.2 %.

    Args:
        total_samples: The budget.
        data: The DataModule's settings.

    Raises:
        InputError: If the budget is no whole number of epochs, or an epoch has no fixed number of samples.
    """
    samples: Any
    if data.get("steps_per_epoch") is not None and data.get("batch_size") is not None:
        key, samples = "steps_per_epoch × data.init_args.batch_size", data["steps_per_epoch"] * data["batch_size"]
    else:
        key, samples = "train_size", data.get("train_size")
    if not isinstance(samples, int) or (key == "train_size" and data.get("augmentation") is not None):
        raise InputError(
            f"total_samples = {total_samples} is divided by the samples of an epoch: set data.init_args.steps_per_epoch"
        )
    epochs, rest = divmod(total_samples, samples)
    if rest:
        raise InputError(
            f"total_samples = {total_samples} is not a multiple of the {samples} samples of an epoch "
            f"(data.init_args.{key}): choose {max(epochs, 1) * samples} or {(epochs + 1) * samples}"
        )
    return epochs
