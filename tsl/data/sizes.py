"""Prints and checks the numbers of training inputs."""

from collections.abc import Sequence

from pytorch_lightning.utilities.rank_zero import rank_zero_info

from tsl.errors import InputError


def announce(inputs: Sequence[int], samples: Sequence[int]) -> None:
    """Print how many training inputs a replicate has, and how many samples augmentation makes from them."""
    rank_zero_info(
        f"training data of a replicate: {_least_to_most(inputs)} inputs, {_least_to_most(samples)} samples with "
        "augmentation"
    )


def check_evaluated_together(train_sizes: Sequence[int]) -> None:
    """Check that the training inputs of all replicates can be evaluated in the same batches.

    Raises:
        InputError: If replicates differ in their number of training inputs.
    """
    if len(set(train_sizes)) > 1:
        raise InputError(
            "data.init_args.evaluate_train = true needs the same data.init_args.train_size in every replicate, because "
            "replicates are evaluated together: set evaluate_train to false (the training loss is still recorded)"
        )


def _least_to_most(sizes: Sequence[int]) -> str:
    return f"{sizes[0]:,}" if len(set(sizes)) == 1 else f"{min(sizes):,} to {max(sizes):,}"
