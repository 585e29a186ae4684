from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.made_up_runs import fake_run
from tsl.figures import trained_teacher
from tsl.runs import Run
from tsl.runs.records import read_table


def student(path: Path, teacher: str, multiplier: float, accuracy: bool = True) -> Run:
    """A made-up run with two layers, and accuracies of two replicates if asked for."""
    checkpoint = {"class_path": "tsl.networks.Pretrained", "init_args": {"checkpoint": f"/files/{teacher}.pt"}}
    run = fake_run(path, multiplier, replicates=2, layers=2, teacher=checkpoint)
    for file in (run / "records/losses").iterdir() if accuracy else ():
        losses = pd.read_parquet(file)
        losses.assign(accuracy=0.1 * losses["epoch"] + 0.01 * losses["replicate"], teacher_accuracy=0.7).to_parquet(
            file
        )
    return Run(run)


def test_draws_every_layer_and_the_accuracy_for_every_teacher(tmp_path: Path) -> None:
    cells = [(teacher, multiplier) for teacher in ("unpruned", "compact") for multiplier in (1, 2)]
    runs = [student(tmp_path / f"runs/{teacher}{multiplier}", teacher, multiplier) for teacher, multiplier in cells]
    figure = trained_teacher.draw(runs)
    assert len(figure.axes) == 2 * 3
    assert [panel.get_title() for panel in figure.axes[:3]] == ["layer 1", "layer 2", "accuracy on labels"]
    assert figure.axes[0].get_ylabel().startswith("unpruned teacher")
    assert figure.axes[3].get_ylabel().startswith("pruned teacher")
    for row, teacher in enumerate(("unpruned", "compact")):
        for column in range(2):
            lines = figure.axes[3 * row + column].lines
            assert len(lines) == 2 * 3
            for index, multiplier in enumerate((1, 2)):
                layers = read_table(tmp_path / f"runs/{teacher}{multiplier}", "layers")
                by_epoch = layers[layers["layer"] == column + 1].groupby("epoch")
                value, shuffled, untrained = lines[3 * index : 3 * index + 3]
                np.testing.assert_allclose(value.get_ydata(), by_epoch["rho_mean"].mean())
                np.testing.assert_allclose(shuffled.get_ydata(), by_epoch["rho_mean_null"].mean())
                np.testing.assert_allclose(untrained.get_ydata(), by_epoch["rho_mean"].mean()[0])
        *students, its_own = figure.axes[3 * row + 2].lines
        assert len(students) == 2
        for line in students:
            np.testing.assert_allclose(line.get_ydata(), 0.1 * np.arange(7) + 0.005)
        np.testing.assert_allclose(its_own.get_ydata(), 0.7)


def test_without_labels_there_is_no_accuracy(tmp_path: Path) -> None:
    run = student(tmp_path / "runs/one", "pruned", 1, accuracy=False)
    assert [panel.get_title() for panel in trained_teacher.draw([run]).axes] == ["layer 1", "layer 2"]


@pytest.mark.parametrize(("teacher", "name"), [("unpruned", "unpruned"), ("compact", "pruned"), ("mine", "mine")])
def test_a_teacher_is_called_by_its_file(tmp_path: Path, teacher: str, name: str) -> None:
    run = student(tmp_path / "runs/one", teacher, 1)
    assert [trained_teacher.teacher_name(group) for group in run.groups] == [name]
