"""What the sample-size figure draws, compared with the records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.figures.drawings import lines, notes, titles
from tsl.errors import InputError
from tsl.figures import sample_size
from tsl.figures.style import PALETTE
from tsl.runs import Run
from tsl.runs.records import read_table, write_table

MakeRun = Callable[..., Path]


def with_sizes(run: Path, sizes: list[int]) -> Path:
    """Add numbers of training samples that repeat along the replicates."""
    for epoch, losses in read_table(run, "losses").groupby("epoch"):
        augmented = np.resize(sizes, len(losses))
        write_table(run, "losses", int(str(epoch)), losses.assign(train_size=augmented // 3, augmented_size=augmented))
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"data": {"init_args": {"train_size": sizes}}}))
    return run


def table(run: Path, name: str, *columns: str) -> pd.DataFrame:
    frame = read_table(run, name)
    frame = frame[frame["epoch"] > 0]
    return frame[[*(["epoch", "replicate"] + (["layer"] if name == "layers" else [])), *columns]]


def test_draws_least_losses_and_last_correlations_against_the_number_of_samples(make_run: MakeRun):
    runs = [
        with_sizes(make_run(f"m{m}w{w}", multiplier=m, width=w, replicates=4, layers=2), [30, 90])
        for m in (1, 2)
        for w in (5, 6)
    ]
    figure = sample_size.draw([Run(run) for run in runs])
    assert titles(figure)[:2] == ["1×", "2×"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["width = 5", "width = 6"]
    assert "over 2 seeds" in notes(figure)
    panels = np.array(figure.axes).reshape(4, 2)
    for column, row_of_runs in enumerate([runs[:2], runs[2:]]):
        for curve, run in enumerate(row_of_runs):
            for row, loss in enumerate(["val_mse", "train_loss"]):
                least = np.log10(table(run, "losses", loss).groupby("replicate")[loss].min().to_numpy())
                expected = [least[[0, 2]].mean(), least[[1, 3]].mean()]
                line = panels[row, column].get_lines()[curve]
                assert line.get_color() == PALETTE[curve]
                assert line.get_xdata().tolist() == [30, 90]
                np.testing.assert_allclose(line.get_ydata(), expected)
            for row, layer in enumerate([1, 2], start=2):
                rho = table(run, "layers", "rho_mean", "rho_mean_null")
                rho = rho[rho["layer"] == layer]
                solid, dotted, grey = panels[row, column].get_lines()[3 * curve : 3 * curve + 3]
                last = rho[rho["epoch"] == 6]["rho_mean"].to_numpy()
                np.testing.assert_allclose(solid.get_ydata(), [last[[0, 2]].mean(), last[[1, 3]].mean()])
                least = rho.groupby("replicate")["rho_mean"].min().to_numpy()
                np.testing.assert_allclose(dotted.get_ydata(), [least[[0, 2]].mean(), least[[1, 3]].mean()])
                null = rho[rho["epoch"] == 6]["rho_mean_null"].to_numpy()
                np.testing.assert_allclose(grey.get_ydata(), [null[[0, 2]].mean(), null[[1, 3]].mean()])


def test_the_objective_is_drawn_where_it_is_asked_for(make_run: MakeRun):
    run = with_sizes(make_run(replicates=2), [30, 90])
    for epoch, losses in read_table(run, "losses").groupby("epoch"):
        write_table(run, "losses", int(str(epoch)), losses.assign(val_loss=[3 - epoch / 10, 2 + epoch / 10]))
    [line, *_] = sample_size.draw([Run(run)], "val_loss").axes[0].get_lines()
    np.testing.assert_allclose(line.get_ydata(), np.log10([2.4, 2.1]))  # the least of epochs 1 to 6


def test_runs_of_other_sizes_make_one_curve(make_run: MakeRun):
    runs = [with_sizes(make_run(f"n{n}", seed=0), [n]) for n in (30, 60, 90)]
    figure = sample_size.draw([Run(run) for run in runs])
    [line, *_] = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [30, 60, 90]
    assert not figure.legends
    assert not lines(figure.axes[0], "2×")


def test_runs_that_do_not_tell_their_size(make_run: MakeRun):
    with pytest.raises(InputError, match="has no record of its number of training samples"):
        sample_size.draw([Run(make_run())])
