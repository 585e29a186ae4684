"""The settings of runs: by dotted names, in words, and the settings in which runs differ."""

from collections.abc import Sequence
from typing import Any

MULTIPLIER = "model.init_args.student.init_args.multiplier"
POLARITY = "model.init_args.teacher_initialization.init_args.polarity"
TRAIN_SIZE = "data.init_args.train_size"

SEEDS = frozenset({"seed_everything", "replicates"})

WITHOUT_EFFECT = (
    *("experiment", "version", "ckpt_path", "weights_only", "checkpoint.", "dirpath", "save_dir", "default_root_dir"),
    *("trainer.logger", "trainer.enable_", "trainer.accelerator", "trainer.devices", "trainer.strategy"),
    *("trainer.barebones", "trainer.detect_anomaly", "trainer.inference_mode", "trainer.log_every_n_steps"),
    *("trainer.num_nodes", "trainer.num_sanity_val_steps", "trainer.reload_dataloaders_every_n_epochs"),
    *("trainer.sync_batchnorm", "trainer.use_distributed_sampler"),
    *("data.init_args.data_dir", "data.init_args.download", "data.init_args.verify"),
    *("chunk_size", "eval_batch_size", "model.init_args.steps"),
)
"""Settings that change neither what a run computes nor what it records, given by beginnings of names or last words."""

RECORDING = ("records.", "evaluate_train")
"""Settings that change what is recorded but not what is computed, given as in `WITHOUT_EFFECT`."""


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a nested configuration by their dotted names.

    >>> flatten({"model": {"init_args": {"widths": [20, 30]}}, "trainer": {"callbacks": [{"class_path": "A"}]}})
    {'model.init_args.widths': [20, 30], 'trainer.callbacks.0.class_path': 'A'}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": setting for inner, setting in flatten(value).items()}
        else:
            flat[str(key)] = value  # keys may be numbers, such as milestones
    return flat


def is_among(key: str, names: Sequence[str]) -> bool:
    """Whether a list such as `WITHOUT_EFFECT` covers a setting.

    >>> is_among("records.pairs", RECORDING), is_among("data.init_args.evaluate_train", RECORDING)
    (True, True)
    """
    return key.startswith(tuple(name for name in names if "." in name)) or key.rsplit(".", 1)[-1] in names


def differences(settings: Sequence[dict[str, Any]], besides: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The settings with an effect in which runs differ.

    Args:
        settings: The settings of each run by their dotted names.
        besides: Further settings to leave out, given as in `WITHOUT_EFFECT`.

    Returns:
        The value of each such setting in each run (None if a run does not have it), by its dotted name.
    """
    settings = [dict(each) for each in settings]
    for each in settings:
        if each.get("total_samples") is not None:
            each.pop("trainer.max_epochs", None)  # the budget determines it
    found = {}
    for key in sorted(set().union(*settings)):
        values = [each.get(key) for each in settings]
        if any(value != values[0] for value in values) and not is_among(key, (*WITHOUT_EFFECT, *besides)):
            found[key] = values
    return found


def in_words(value: Any) -> str:
    """A setting's value as text for names, tables and legends.

    >>> in_words(2e6), in_words(0.1), in_words([20, 30]), in_words(None)
    ('2000000', '0.1', '[20,30]', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.10g}"  # not 2e+06, which is hard to read as a number of inputs
    return value if isinstance(value, str) else str(value).replace(" ", "")


def names_in_words(keys: Sequence[str]) -> dict[str, str]:
    """Short names of settings: the last word of each name, or as many last words as make the names differ.

    >>> names_in_words(["a.init_args.std", "b.init_args.std", "lr"])
    {'a.init_args.std': 'a.std', 'b.init_args.std': 'b.std', 'lr': 'lr'}
    """
    words = {key: [word for word in key.split(".") if word not in ("init_args", "class_path")] for key in keys}
    names = {key: [parts[-1], ".".join(parts[-2:]), key] for key, parts in words.items()}

    def is_alone(name: str, length: int) -> bool:
        return [others[length] for others in names.values()].count(name) == 1

    return {
        key: next((name for length, name in enumerate(candidates) if is_alone(name, length)), key)
        for key, candidates in names.items()
    }
