from pathlib import Path

import numpy as np
import pytest

from tests.made_up_runs import fake_run
from tsl.figures import alignment
from tsl.figures.__main__ import main
from tsl.runs import Run
from tsl.runs.records import read_table


def test_draws_the_mean_of_every_measure_and_its_null_levels(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "runs/two", layers=2)
    figure = alignment.draw([Run(run)])
    assert len(figure.axes) == 4  # two measures of two layers
    layers = read_table(run, "layers")
    for row, measure in enumerate(("rho_mean", "cka")):
        for column, layer in enumerate((1, 2)):
            by_epoch = layers[layers["layer"] == layer].groupby("epoch")
            value, shuffled, untrained = figure.axes[2 * row + column].lines
            np.testing.assert_array_equal(value.get_xdata(), range(7))
            np.testing.assert_allclose(value.get_ydata(), by_epoch[measure].mean())
            np.testing.assert_allclose(shuffled.get_ydata(), by_epoch[f"{measure}_null"].mean())
            np.testing.assert_allclose(untrained.get_ydata(), by_epoch[measure].mean()[0])


def test_records_from_before_there_was_a_null_level(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/two")
    layers = read_table(path, "layers").drop(columns=["rho_mean_null", "cka_null"])
    [panel] = alignment.draw([Run(path, tables={"layers": layers})]).axes
    assert len(panel.lines) == 2


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [fake_run(tmp_path / f"runs/{m}", multiplier=m) for m in (1, 2)]
    out = tmp_path / "alignment.png"
    assert main(["alignment", *map(str, runs), "--out", str(out)]) == 0
    assert out.exists()
    assert str(out) in capsys.readouterr().out
