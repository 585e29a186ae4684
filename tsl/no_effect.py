"""Settings that have no effect because of other settings, although a config sets them."""

from collections.abc import Iterator, Mapping
from typing import Any

OPTIMIZER, SCHEDULE = "model.init_args.optimizer.init_args", "model.init_args.lr_scheduler"
NETWORKS = ("teacher", "student", "network")


def settings_without_effect(settings: Mapping[str, Any]) -> Iterator[str]:
    """Find the settings that have no effect because of others: one line for each, with the reason.

    Args:
        settings: Values by their dotted names.

    >>> list(settings_without_effect({f"{OPTIMIZER}.dampening": 0.5, f"{OPTIMIZER}.momentum": 0.0}))
    ['model.init_args.optimizer.init_args.dampening = 0.5: there is no momentum to dampen']
    """
    said = settings.get

    def without_effect(key: str, reason: str) -> str:
        return f"{key} = {said(key)}: {reason}"

    rate = said(f"{OPTIMIZER}.lr")
    first = said(f"{SCHEDULE}.init_args.milestones.0")
    if str(said(f"{SCHEDULE}.class_path")).endswith(".Milestones") and first is not None and rate not in (None, first):
        yield without_effect(f"{OPTIMIZER}.lr", f"the schedule Milestones sets the rate, to {first} at first")
    if said(f"{OPTIMIZER}.dampening") and not said(f"{OPTIMIZER}.momentum"):
        yield without_effect(f"{OPTIMIZER}.dampening", "there is no momentum to dampen")
    for name in NETWORKS:
        key = f"model.init_args.{name}.init_args.batch_norm"
        if said(f"{key}_affine") is False and key in settings and said(key) in (None, "none"):
            yield without_effect(f"{key}_affine", "there is no BatchNorm")
    widths, trained = said("model.init_args.teacher.init_args.widths"), said("model.init_args.trained_layers")
    if said("model.init_args.normalize_weights") and widths and trained and min(trained) > len(widths):
        yield without_effect("model.init_args.normalize_weights", "no hidden layer is trained")
    if said("records.every_n_epochs") not in (None, 1) and said("records.epochs") is not None:
        yield without_effect("records.every_n_epochs", "records.epochs says which epochs are measured")
    if str(said("model.class_path")).endswith(".Classifier"):
        for key in sorted(key for key in settings if key.startswith("records.")):
            if said(key) is True or said(key) not in (None, False, 1):
                yield without_effect(key, "a Classifier has no teacher, so its nodes are not measured")
    if said("trainer.log_every_n_steps") not in (None, 1):
        yield without_effect("trainer.log_every_n_steps", "scalars are logged once an epoch")
    if said("trainer.enable_checkpointing") is False and said("checkpoint.every_n_epochs") not in (None, 1):
        yield without_effect("checkpoint.every_n_epochs", "trainer.enable_checkpointing is false")
    if said("trainer.gradient_clip_algorithm") is not None:
        yield without_effect("trainer.gradient_clip_algorithm", "gradients are not clipped")
    most, fewest = said("trainer.max_epochs"), said("trainer.min_epochs")
    if fewest is not None and most is not None and 0 <= most < fewest:
        yield without_effect("trainer.min_epochs", f"trainer.max_epochs = {most} ends the run earlier")
