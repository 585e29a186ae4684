"""The outcome of a run, told at its end."""

from pathlib import Path

import pandas as pd
import pytest

from tests.made_up_runs import fake_run
from tests.two_settings import LABELS, TwoSettings
from tsl.errors import InputError
from tsl.replicates import MOST_SETTINGS
from tsl.runs import Run
from tsl.runs.records import read_table, write_table
from tsl.runs.summary import accuracies, layer_table, mean_over, print_classifier_summary, print_summary


def table_lines(run: Path) -> list[list[str]]:
    """The cells of the table that is printed."""
    table = layer_table(Run(run))
    return [[str(list(column.cells)[row]) for column in table.columns] for row in range(table.row_count)]


def test_each_setting_is_told_as_its_run_alone_would_be(
    two_settings: TwoSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(str(two_settings.together))
    told = capsys.readouterr().out
    rows = table_lines(two_settings.together)
    for label, path, row in zip(LABELS, two_settings.alone, rows, strict=True):
        print_summary(str(path))
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch 2")]
        assert f"{label}: {line}" in told
        assert line.endswith("(mean over 2 replicates)")
        assert [row[2:]] == table_lines(path)
        assert row[:2] == [words.split("=")[1] for words in label.split(",")]
    assert "mean over 2 replicates of each setting" in layer_table(Run(two_settings.together)).title


def test_of_many_settings_it_says_how_many_more_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    polarity = [number / 10 for number in range(MOST_SETTINGS + 3)]
    run = fake_run(tmp_path / "E2/a", polarity=polarity, replicates=len(polarity), max_epochs=1)
    print_summary(str(run))
    told = capsys.readouterr().out
    assert told.count("val mse") == MOST_SETTINGS
    assert f"and 3 more settings; python -m tsl.runs {run} lists all" in told


def test_over_how_many_replicates_a_mean_is(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "E2/b", replicates=3, epochs=[0])
    rows = {"replicate": range(3), "seed": range(3), "data.init_args.train_size": [10, 10, 20]}
    write_table(run, "replicates", 0, pd.DataFrame(rows))
    groups = Run(run).groups
    assert mean_over(groups[0]) == "mean over 2 replicates"
    assert mean_over(groups[1]) == "mean over 1 replicate"
    assert mean_over(*groups) == "mean over 1 to 2 replicates of each setting"


def test_a_classifiers_accuracy_of_each_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fake_run(tmp_path / "C/a", polarity=[0.5, 1.0], replicates=4, epochs=[])
    series = {"val/accuracy/polarity=0.5": [0.25, 0.5, 0.75], "val/accuracy/polarity=1": [0.5, 1.0, 0.875]}
    pd.DataFrame({"epoch": [0, 1, 2], **series}).to_csv(run / "metrics.csv", index=False)
    print_classifier_summary(str(run))
    told = capsys.readouterr().out
    assert (
        "polarity=0.5: validation accuracy 75.00% at epoch 2, best 75.00% at epoch 2 (mean over 2 replicates)" in told
    )
    assert "polarity=1: validation accuracy 87.50% at epoch 2, best 100.00% at epoch 1 (mean over 2 replicates)" in told
    with pytest.raises(InputError, match=r"has no val/accuracy; it has val/accuracy/polarity=0.5, val/accuracy/polar"):
        accuracies(run)
    (run / "metrics.csv").unlink()
    with pytest.raises(InputError, match=r"only evaluated runs of tsl.modules.Classifier have it"):
        accuracies(run)


def test_the_table_is_of_the_last_epochs_validation_rows(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "E1/a", splits=("train", "val"), layers=2)
    layers = read_table(run, "layers").query("epoch == 6 and split == 'val'")
    means = layers.groupby("layer")["rho_mean"].mean()
    assert [row[:2] for row in table_lines(run)] == [[str(layer), f"{mean:.4f}"] for layer, mean in means.items()]


def test_a_student_without_correlations_has_no_best_node(tmp_path: Path) -> None:
    """As after weights of 1e300, whose activations have no finite variance."""
    run = fake_run(tmp_path / "E2/a", max_epochs=1)
    nodes = read_table(run, "teacher_nodes", [1])
    write_table(run, "teacher_nodes", 1, nodes.assign(best_correlation=float("nan")))
    table = layer_table(Run(run))
    assert [[*column.cells] for column in table.columns][-2:] == [[""], [""]]
