"""Converts a budget of training samples into epochs, so that runs of different training sizes cost the same."""

from collections.abc import Mapping
from typing import Any

from tsl.errors import InputError


def budget_epochs(total_samples: int, data: Mapping[str, Any]) -> int:
    """The number of epochs after which a student has seen `total_samples` training samples.

    An epoch counts as steps_per_epoch × batch_size samples, or as train_size samples if steps_per_epoch is not given.
    In the second case the last train_size mod batch_size samples are counted but not seen, because they fill no
    minibatch: 0.2 % of 5,000 samples at batch size 64.

    Args:
        total_samples: The budget, in training samples.
        data: The DataModule's settings.

    Raises:
        InputError: If the budget is not a whole number of epochs, or an epoch has no fixed number of samples.
    """
    samples: Any
    if data.get("steps_per_epoch") is not None and data.get("batch_size") is not None:
        key, samples = "steps_per_epoch × data.init_args.batch_size", data["steps_per_epoch"] * data["batch_size"]
    else:
        key, samples = "train_size", data.get("train_size")
    if not isinstance(samples, int) or (key == "train_size" and data.get("augmentation") is not None):
        raise InputError(
            f"total_samples = {total_samples} needs a fixed number of samples in an epoch, but data.init_args sets "
            "none: set data.init_args.steps_per_epoch"
        )
    epochs, rest = divmod(total_samples, samples)
    if rest:
        raise InputError(
            f"total_samples = {total_samples} is not a multiple of the {samples} samples of an epoch "
            f"(data.init_args.{key}): choose {max(epochs, 1) * samples} or {(epochs + 1) * samples}"
        )
    return epochs
