import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.made_up_runs import fake_run
from tsl.errors import InputError
from tsl.runs import Run
from tsl.runs.records import DamagedRecordsError, write_table

STD = "model.init_args.student_initialization.init_args.std"
POLARITY = "model.init_args.teacher_initialization.init_args.polarity"


@pytest.fixture
def two_settings(tmp_path: Path) -> Path:
    """A run whose four replicates differ in two settings."""
    run = fake_run(tmp_path / "runs/a", polarity=[0.5, 1.0], replicates=4)
    rows = {"replicate": range(4), "seed": range(7, 11), POLARITY: [0.5, 1.0] * 2, STD: [0.1, 0.1, 0.2, 0.2]}
    write_table(run, "replicates", 0, pd.DataFrame(rows))
    return run


def test_replicates_of_the_same_settings_are_a_group(two_settings: Path) -> None:
    groups = Run(two_settings).groups
    assert [group.replicates for group in groups] == [[0], [1], [2], [3]]
    assert groups[2].varying == {POLARITY: 0.5, STD: 0.2}
    assert groups[2].seeds == {2: 9}
    assert groups[2].label == "polarity=0.5,std=0.2"
    assert groups[2].name == "runs/a polarity=0.5,std=0.2"
    assert groups[2].settings[POLARITY] == 0.5
    assert groups[2].settings["trainer.max_epochs"] == 6


def test_a_group_has_the_rows_of_its_replicates(two_settings: Path) -> None:
    run = Run(two_settings)
    losses = run.table("losses")
    assert set(run.groups[3].rows(losses)["replicate"]) == {3}
    assert sum(len(group.rows(losses)) for group in run.groups) == len(losses)


def test_where_nothing_differs_but_the_seed_there_is_one_group(tmp_path: Path) -> None:
    run = Run(fake_run(tmp_path / "runs/b", seed=5))
    [group] = run.groups
    assert group.replicates == [0, 1, 2]
    assert group.seeds == {0: 5, 1: 6, 2: 7}
    assert group.label == ""
    assert group.name == "runs/b"


def test_lists_of_older_runs_are_found_in_their_settings(tmp_path: Path) -> None:
    run = Run(fake_run(tmp_path / "runs/c", polarity=[0.5, 1.0], replicates=4))
    assert run.replicates[POLARITY].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert [group.replicates for group in run.groups] == [[0, 2], [1, 3]]


def test_tables_may_stand_in_for_those_on_disk(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/d")
    rows = Run(path).table("losses", epochs=[2])
    run = Run(path, tables={"losses": rows})
    assert run.recorded_epochs("losses") == [2]
    assert run.table("losses").equals(rows)
    assert run.table("losses", epochs=[3]).empty
    assert run.recorded_epochs("layers") == list(range(7))


def test_what_cannot_be_read_is_noted(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/e")
    (path / "records/losses/epoch_00002.parquet").write_bytes(b"damaged")
    run = Run(path)
    with pytest.raises(DamagedRecordsError, match=r"epoch_00002.parquet is damaged"):
        run.table("losses")
    assert sorted(run.readable_table("losses")["epoch"].unique()) == [0, 1, 3, 4, 5, 6]
    assert run.notes[0].startswith("1 of 7 epochs of losses are left out: ")


def test_a_run_without_settings_says_so(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/f")
    (path / "config.yaml").unlink()
    run = Run(path)
    with pytest.raises(InputError, match=r"has no config.yaml"):
        _ = run.settings
    assert run.state in ("failed", "resumable")
    assert len(run.table("losses")) == 21


@pytest.mark.parametrize(("seed", "message"), [("'x'", r"seed_everything in config.yaml is 'x'; expected a number")])
def test_a_seed_that_is_no_number_is_refused(tmp_path: Path, seed: str, message: str) -> None:
    path = fake_run(tmp_path / "runs/g")
    config = (path / "config.yaml").read_text().replace("seed_everything: 0", f"seed_everything: {seed}")
    (path / "config.yaml").write_text(config)
    with pytest.raises(InputError, match=message):
        _ = Run(path).seed


def test_reading_a_run_does_not_import_torch(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/h")
    code = f"from tsl.runs import Run; r = Run({str(path)!r}); r.groups; r.table('losses')"
    done = [sys.executable, "-c", f"{code}; import sys; assert not {{'torch', 'pytorch_lightning'}} & {{*sys.modules}}"]
    subprocess.run(done, check=True)
