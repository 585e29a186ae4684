"""What may change when a run goes on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.made_up_runs import fake_run
from tsl.errors import InputError
from tsl.runs import Run
from tsl.runs.directory import check_same_run


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The nested settings with another value of one of them, by its dotted name."""
    first, _, rest = key.partition(".")
    return config | {first: changed(config.get(first) or {}, rest, value) if rest else value}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return fake_run(tmp_path / "runs/one", max_epochs=1, replicates=1)


@pytest.mark.parametrize(
    "key",
    [
        *("trainer.max_epochs", "trainer.accelerator", "trainer.callbacks", "total_samples", "checkpoint.save_top_k"),
        *("records.pairs", "ckpt_path", "version", "data.init_args.evaluate_train", "data.init_args.data_dir"),
        *("model.init_args.eval_batch_size", "model.init_args.steps"),
    ],
)
def test_what_a_run_computes_stays(run: Path, key: str) -> None:
    check_same_run(run, Run(run).config, changed(Run(run).config, key, 3))


@pytest.mark.parametrize(
    "key",
    [
        *("trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches", "data.init_args.chunk_size"),
        *("model.init_args.multiplier", "seed_everything", "replicates", "data.init_args.batch_size"),
    ],
)
def test_what_changes_a_run_is_refused(run: Path, key: str) -> None:
    before = Run(run).settings.get(key)
    with pytest.raises(InputError, match=f"was run with other settings:\n  {key}: {before} in the run, 3.5 now\n"):
        check_same_run(run, Run(run).config, changed(Run(run).config, key, 3.5))


def test_settings_of_callbacks_are_named_one_by_one(run: Path) -> None:
    config = changed(Run(run).config, "model.init_args.losses", [{"weight": 1}])
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"model.init_args.losses.0.weight: 1 in the run, 2 now"):
        check_same_run(run, config, changed(config, "model.init_args.losses", [{"weight": 2}]))
