"""What the heat map draws, compared with the records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.figures.drawings import loaded, notes
from tsl.errors import InputError
from tsl.figures import heat_map
from tsl.runs.records import read_table

MakeRun = Callable[..., Path]


def images(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(panel.images[0].get_array()) for panel in figure.axes if panel.images]


def test_students_stand_beside_their_best_teacher(make_run: MakeRun):
    path = make_run(pairs=True, layers=2, splits=("val", "train"))
    figure = heat_map.draw(loaded([path]), epoch=4, replicate=1)
    table = read_table(path, "pairs").query("split == 'val' and epoch == 4 and replicate == 1")
    for layer, drawn in zip((1, 2), images(figure), strict=True):
        rho = np.zeros((4, 8))
        for row in table[table["layer"] == layer].itertuples():
            rho[row.teacher_node - 1, row.student_node - 1] = row.correlation
        order = sorted(range(8), key=lambda k: (rho[:, k].argmax(), -rho[:, k].max()))
        np.testing.assert_array_equal(drawn, rho[:, order])
    assert [panel.get_title() for panel in figure.axes[:2]] == [
        "polarity $p = 1$, layer 1",
        "polarity $p = 1$, layer 2",
    ]
    assert "epoch 4" in figure.axes[0].get_ylabel()
    assert "seed 1" in figure.axes[0].get_ylabel()
    assert notes(figure) == "evaluation inputs"


def test_teacher_node_one_is_on_top_and_cells_are_centred_on_their_numbers(make_run: MakeRun):
    panel = heat_map.draw(loaded([make_run(pairs=True)])).axes[0]
    assert panel.get_xlim() == (0.5, 8.5)
    assert panel.get_ylim() == (4.5, 0.5)
    assert panel.images[0].get_extent() == [0.5, 8.5, 4.5, 0.5]


def test_each_run_has_a_row_at_its_last_epoch(make_run: MakeRun):
    paths = [make_run("one", pairs=True, multiplier=1), make_run("two", pairs=True, epochs=[0, 3])]
    figure = heat_map.draw(loaded(paths))
    assert [drawn.shape for drawn in images(figure)] == [(4, 4), (4, 8)]
    assert [panel.get_ylabel().split("\n")[0] for panel in figure.axes[:2]] == ["1×, epoch 6", "2×, epoch 3"]
    assert "runs/two: records end at epoch 3 of 6" in notes(figure)


def test_a_run_without_the_epoch_is_named_and_left_out(make_run: MakeRun):
    paths = [make_run("one", pairs=True, multiplier=1), make_run("two", pairs=True, epochs=[0, 3])]
    figure = heat_map.draw(loaded(paths), epoch=5)
    assert [drawn.shape for drawn in images(figure)] == [(4, 4)]
    assert "epoch 5 is not in the records of 1 of 2 runs (runs/two)" in notes(figure)


def test_a_run_of_fewer_layers_leaves_a_gap(make_run: MakeRun):
    paths = [make_run("one", pairs=True, multiplier=1), make_run("two", pairs=True, layers=2)]
    assert len(images(heat_map.draw(loaded(paths)))) == 3


def test_an_epoch_or_a_replicate_that_is_not_there(make_run: MakeRun):
    runs = loaded([make_run(pairs=True, max_epochs=2)])
    with pytest.raises(InputError, match=r"records of epoch 7; recorded are \[0, 1, 2\]; choose one with --epoch"):
        heat_map.draw(runs, epoch=7)
    with pytest.raises(InputError, match=r"no run has a replicate 3; choose one from 0 to 2 with --replicate"):
        heat_map.draw(runs, replicate=3)
