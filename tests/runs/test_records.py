from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tsl.errors import CannotWriteError, InputError
from tsl.runs.records import (
    COLUMNS,
    DamagedRecordsError,
    NoRecordsError,
    check_table,
    read_config,
    read_last,
    read_table,
    recorded_epochs,
    write_table,
)
from tsl.runs.whole_files import written_whole


def losses(epoch: int, loss: float = 0.5) -> pd.DataFrame:
    values = {"train_loss": loss, "val_loss": loss, "val_mse": loss, "gradient_sup_norm": loss}
    return pd.DataFrame({"epoch": epoch, "replicate": [1, 0], **values})


def layers(**columns: object) -> pd.DataFrame:
    row = {"epoch": 0, "split": "val", "replicate": 0, "layer": 1, "rho_mean": 0.4, "recovered_fraction_0.95": 0.0}
    return pd.DataFrame([row | columns])


def test_columns_are_those_of_the_design():
    thresholds = [f"recovered_{threshold}" for threshold in ("0.50", "0.60", "0.70", "0.80", "0.90", "0.95")]
    where = ["epoch", "split", "replicate", "layer"]
    assert {table: list(columns) for table, columns in COLUMNS.items()} == {
        "replicates": ["replicate", "seed"],
        "teacher_nodes": [
            *(*where, "node", "best_correlation", "best_student"),
            *(*thresholds, "matches_0.95", "observed", "strength"),
        ],
        "student_nodes": [*where, "node", "best_correlation", "best_teacher", "strength"],
        "layers": [*where, "rho_mean", "recovered_fraction_0.95"],
        "losses": ["epoch", "replicate", "train_loss", "val_loss", "val_mse", "gradient_sup_norm"],
        "pairs": [*where, "teacher_node", "student_node", "correlation"],
        "gradients": ["epoch", "replicate", "layer", "rms", "max"],
        "activity": ["epoch", "replicate", "layer", "node", "active_fraction"],
        "mean_matrices": [*where, "matrix", "row", "column", "value"],
        "overlaps": ["epoch", "replicate", "alpha", "normalization", "matrix", "row", "column", "value"],
        "output_weights": ["epoch", "replicate", "alpha", "network", "output", "node", "value"],
        "seed_pairs": ["epoch", "replicate", "other_replicate", "layer", "one_to_one", "one_to_one_null"],
        "seed_nodes": [
            *("epoch", "replicate", "other_replicate", "layer", "node", "best_correlation", "best_correlation_null"),
        ],
        "certificate": [
            *("epoch", "replicate", "node", "observed", "observer", "alpha", "gradient_sup_norm", "granted_epsilon"),
            *("reached_epsilon", "best_aligned_student", "observer_epsilon", "condition", "vacuous", "conclusion"),
        ],
        "polish": [
            *("epoch", "replicate", "loss_before", "loss", "gradient_norm", "iterations", "kind", "parameters"),
            *("spectrum", "least_eigenvalue", "largest_eigenvalue", "negative", "zero", "rescalings", "duplicates"),
        ],
        "eigenvalues": ["epoch", "replicate", "row", "value"],
        "clusters": [
            *("epoch", "node", "students", "student_nodes", "spread", "strength", "best_teacher", "distance"),
        ],
    }


def test_reads_back_what_was_written_sorted(tmp_path: Path):
    for epoch in (100, 3, 0):
        path = write_table(tmp_path, "losses", epoch, losses(epoch))
    assert path == tmp_path / "records/losses/epoch_00000.parquet"
    table = read_table(tmp_path, "losses")
    assert table["epoch"].tolist() == [0, 0, 3, 3, 100, 100]
    assert table["replicate"].tolist() == [0, 1] * 3
    expected = pd.concat([losses(epoch).iloc[::-1] for epoch in (0, 3, 100)], ignore_index=True)
    pd.testing.assert_frame_equal(table, expected)
    assert len(pd.read_parquet(tmp_path / "records" / "losses")) == 6  # as people outside tsl read it


def test_the_same_epoch_is_replaced(tmp_path: Path):
    write_table(tmp_path, "losses", 1, losses(1, 0.5))
    write_table(tmp_path, "losses", 1, losses(1, 0.25))
    assert read_table(tmp_path, "losses")["val_mse"].tolist() == [0.25, 0.25]


def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_table(tmp_path, "losses", 1, losses(1))
    before = path.read_bytes()

    def half_write(rows: pyarrow.Table, temporary: Path) -> None:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        temporary.write_bytes(before[:20])
        raise OSError("disk full")

    monkeypatch.setattr(pyarrow.parquet, "write_table", half_write)
    for epoch in (1, 2):
        with pytest.raises(CannotWriteError, match=rf"epoch_0000{epoch}.parquet cannot be written \(disk full\)"):
            write_table(tmp_path, "losses", epoch, losses(epoch))
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_leftover_of_a_killed_process_is_not_read(tmp_path: Path):
    path = write_table(tmp_path, "losses", 1, losses(1))
    path.with_name(".epoch_00002.parquet.77").write_bytes(b"PAR1")
    assert len(read_table(tmp_path, "losses")) == 2
    assert len(pd.read_parquet(path.parent)) == 2


def test_written_whole_replaces_only_at_the_end(tmp_path: Path):
    path = tmp_path / "figure.pdf"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("table", "frame", "message"),
    [
        ("loss", losses(0), "unknown table 'loss'; the tables are replicates, teacher_nodes, .*pairs"),
        ("losses", losses(0).drop(columns="val_mse"), r"missing \['val_mse'\], unknown \[\]"),
        ("losses", losses(0).assign(recall=1), r"missing \[\], unknown \['recall'\]"),
        ("losses", losses(0).iloc[:0], "no rows for 'losses' at epoch 0"),
        ("losses", losses(2), r"of epoch 0 has rows of epochs \[2\]"),
        ("layers", layers(layer=0), "layer counts from 1, got 0"),
        ("layers", layers(split="test"), r"split: expected 'val' or 'train', got \['test'\]"),
    ],
)
def test_refuses_frames_that_figures_could_not_read(tmp_path: Path, table: str, frame: pd.DataFrame, message: str):
    with pytest.raises(ValueError, match=message):
        write_table(tmp_path, table, 0, frame)
    assert not (tmp_path / "records").exists()


def test_layers_may_have_more_measures(tmp_path: Path):
    frame = layers(rho_mean_null=0.3, cka=0.9)
    write_table(tmp_path, "layers", 0, frame[frame.columns[::-1]])
    written = read_table(tmp_path, "layers")
    assert written["cka"].tolist() == [0.9]
    assert list(written)[: len(COLUMNS["layers"])] == list(COLUMNS["layers"])


def test_a_damaged_file_is_named(tmp_path: Path):
    write_table(tmp_path, "losses", 0, losses(0))
    path = write_table(tmp_path, "losses", 1, losses(1))
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\0" * len(content)):
        path.write_bytes(damaged)
        with pytest.raises(DamagedRecordsError, match=r"epoch_00001\.parquet is damaged: .") as caught:
            read_table(tmp_path, "losses")
        assert "\n" not in str(caught.value)
    losses(1).drop(columns="val_mse").to_parquet(path)
    with pytest.raises(
        DamagedRecordsError,
        match=r"epoch_00001\.parquet is damaged, or of an older tsl: it lacks the columns \['val_mse'\]",
    ):
        read_table(tmp_path, "losses")


def test_what_is_no_run_is_said(tmp_path: Path):
    for read in (read_config, lambda path: read_table(path, "losses")):
        with pytest.raises(InputError, match="absent is not a run directory: it does not exist"):
            read(tmp_path / "absent")
        with pytest.raises(InputError, match=r"is not a run directory: it has neither config\.yaml nor records/"):
            read(tmp_path)


def test_a_missing_table_is_named_with_its_remedy(tmp_path: Path):
    write_table(tmp_path, "losses", 0, losses(0))
    with pytest.raises(InputError, match="no records of 'layers'; it stopped before its first evaluation, or lacks"):
        read_table(tmp_path, "layers")
    with pytest.raises(InputError, match=r"no records of 'pairs'; run it again with `--records[.]pairs true`"):
        read_table(tmp_path, "pairs")
    with pytest.raises(ValueError, match="unknown table 'loss'"):
        read_table(tmp_path, "loss")


def test_a_table_is_checked_as_it_would_be_read(tmp_path: Path):
    run = tmp_path
    for epoch in (0, 1):
        write_table(run, "losses", epoch, losses(epoch))
    check_table(run, "losses")
    with pytest.raises(NoRecordsError, match="has no records of 'certificate'"):
        check_table(run, "certificate")
    first, *_ = sorted((run / "records/losses").iterdir())
    frame = pd.read_parquet(first)
    frame.drop(columns="val_mse").to_parquet(first)
    with pytest.raises(DamagedRecordsError, match=rf"{first} is damaged, or of an older tsl: it lacks .*val_mse"):
        check_table(run, "losses")
    first.write_bytes(b"PAR1")
    with pytest.raises(DamagedRecordsError, match=f"{first} is damaged: "):
        check_table(run, "losses")


def test_config_is_read_as_plain_values(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("seed_everything: 3\ndata:\n  init_args: {train_size: [20, 30]}\n")
    assert read_config(tmp_path) == {"seed_everything": 3, "data": {"init_args": {"train_size": [20, 30]}}}


@pytest.mark.parametrize("text", ["model: [1", "just words", "", "a: !!python/object:os.system {}"])
def test_a_damaged_config_is_named(tmp_path: Path, text: str):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DamagedRecordsError, match=r"config\.yaml is damaged: ."):
        read_config(tmp_path)


def test_records_without_a_config_are_said(tmp_path: Path):
    write_table(tmp_path, "losses", 0, losses(0))
    with pytest.raises(InputError, match=r"has no config\.yaml, which every run of tsl\.fit has"):
        read_config(tmp_path)


def test_columns_of_the_last_epoch(tmp_path: Path):
    assert read_last(tmp_path, "losses", ["val_mse"]) == {}
    for epoch in (3, 100):
        path = write_table(tmp_path, "losses", epoch, losses(epoch, epoch / 8))
    assert read_last(tmp_path, "losses", ["epoch", "val_mse"]) == {"epoch": [100, 100], "val_mse": [12.5, 12.5]}
    with pytest.raises(
        DamagedRecordsError,
        match=r"epoch_00100.parquet is damaged, or of an older tsl: it lacks the columns \['accuracy'\]",
    ):
        read_last(tmp_path, "losses", ["epoch", "accuracy"])
    path.write_bytes(b"PAR1")
    with pytest.raises(DamagedRecordsError, match=r"epoch_00100.parquet is damaged"):
        read_last(tmp_path, "losses", ["epoch"])


def test_chosen_epochs_and_columns_that_an_older_version_had(tmp_path: Path):
    for epoch in (0, 3, 5):
        path = write_table(tmp_path, "losses", epoch, losses(epoch))
        pd.read_parquet(path).drop(columns="val_loss").to_parquet(path)
    assert recorded_epochs(tmp_path, "losses") == [0, 3, 5]
    assert read_table(tmp_path, "losses", [3, 5], ["val_mse"])["epoch"].tolist() == [3, 3, 5, 5]
    with pytest.raises(InputError, match="no records"):
        read_table(tmp_path, "losses", [1], ["val_mse"])
