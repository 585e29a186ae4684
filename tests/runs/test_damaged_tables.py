"""Whatever stands in the records of one run, lists and reports of it and of others are made."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.made_up_runs import fake_run
from tsl.report.__main__ import main as write_report
from tsl.runs import Run
from tsl.runs.listing import list_runs
from tsl.runs.records import DamagedRecordsError, read_last, write_table

TABLES = ("losses", "layers", "teacher_nodes", "student_nodes", "replicates")
MEASURE = {"losses": "val_mse", "layers": "rho_mean", "replicates": "seed"}


def damaged(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of a table with a column gone, not finite, null, or of another type, in all rows or in one."""
    for name in columns:
        column = frame[name]
        yield f"{name} is gone", frame.drop(columns=name)
        for value in (np.nan, None, np.inf, "x", -3):
            yield f"{name} is {value}", frame.assign(**{name: pd.Series([value] * len(frame), frame.index)})
        yield f"{name} is NaN once", frame.assign(**{name: [np.nan, *column.tolist()[1:]]})
        yield f"{name} is null once", frame.assign(**{name: [None, *column.astype(object).tolist()[1:]]})
    yield "no rows", frame.iloc[:0]
    yield "each row twice", pd.concat([frame, frame])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A directory of two equal runs, `good` and `bad`."""
    for name in ("good", "bad"):
        run = fake_run(tmp_path / "E" / name, epochs=[0, 1], max_epochs=1, polarity=[0.5, 1.0], replicates=4)
        write_table(run, "replicates", 0, Run(run).replicates.assign(**{"model.init_args.seen": [None, 1, None, 1]}))
    return tmp_path / "E"


@pytest.mark.parametrize("table", TABLES)
def test_lists_and_reports_survive(table: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports with one damaged measure of each table, since each takes a tenth of a second."""
    before = [row for row in list_runs(runs) if row["run"] == "good"]
    bad = runs / "bad"
    file = sorted((bad / "records" / table).iterdir())[-1]
    content = file.read_bytes()
    frame = pd.read_parquet(file)
    measure = MEASURE.get(table, "best_correlation")
    for what, rows in damaged(frame, list(frame)):
        rows.to_parquet(file)
        listed = list_runs(runs)
        assert [row for row in listed if row["run"] == "good"] == before, what
        assert any(row["run"] == "bad" for row in listed), what
        if what.startswith(measure):
            assert write_report([str(runs / "good"), str(bad), "--out", str(tmp_path / "report.html")]) == 0, what
        file.write_bytes(content)
    assert "Traceback" not in capsys.readouterr().err
    shutil.rmtree(file.parent)
    assert len(list_runs(runs)) >= 2


def test_a_measure_that_is_nan_is_read_as_nan(tmp_path: Path) -> None:
    """Parquet stores NaN as null, of which means cannot be taken."""
    run = fake_run(tmp_path / "E/run", epochs=[0], max_epochs=0, replicates=2)
    file = run / "records/losses/epoch_00000.parquet"
    pd.read_parquet(file).assign(val_mse=[np.nan, 0.5]).to_parquet(file)
    assert np.isnan(read_last(run, "losses", ["val_mse"])["val_mse"]).tolist() == [True, False]
    (row,) = list_runs(tmp_path)
    assert (row["val_mse"], row["note"]) == ("nan", "")


@pytest.mark.parametrize("value", ["x", None])
def test_words_in_place_of_numbers_are_named(value: str | None, tmp_path: Path) -> None:
    run = fake_run(tmp_path / "E/run", epochs=[0], max_epochs=0)
    file = run / "records/layers/epoch_00000.parquet"
    pd.read_parquet(file).assign(layer=value).to_parquet(file)
    for read in (lambda: Run(run).table("layers"), lambda: read_last(run, "layers", ["layer"])):
        with pytest.raises(DamagedRecordsError, match=r"epoch_00000\.parquet is damaged"):
            read()
