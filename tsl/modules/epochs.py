"""The epoch of an evaluation in records, logs and figures: 0 is before training, 1 after the first epoch."""

import pytorch_lightning as pl


def evaluated_epoch(trainer: pl.Trainer) -> int:
    """Epochs trained before this evaluation; Lightning's sanity check is the evaluation before training."""
    return 0 if trainer.sanity_checking else trainer.current_epoch + 1


def is_recorded(trainer: pl.Trainer) -> bool:
    """Whether this evaluation is recorded, as part of the training.

    A sanity check is recorded if it uses all of the data and the run is not resumed.
    """
    if trainer.sanity_checking:
        return trainer.global_step == 0 and list(trainer.num_sanity_val_batches) == list(trainer.num_val_batches)
    return trainer.state.fn == "fit"
