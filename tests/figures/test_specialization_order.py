"""What the figure of the order of specialization draws, compared with the records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.figures.drawings import loaded, notes, titles
from tsl.figures import specialization_order
from tsl.figures.curves import collect
from tsl.runs import Run
from tsl.runs.records import read_table
from tsl.runs.settings import POLARITY

MakeRun = Callable[..., Path]


def first_epoch(table: pd.DataFrame, replicate: int, node: int) -> float:
    """Spelled out: the first epoch at which a teacher node's best correlation is above 0.95."""
    rows = table[(table["replicate"] == replicate) & (table["node"] == node) & (table["split"] == "val")]
    return next((row.epoch for row in rows.itertuples() if row.best_correlation > 0.95), np.inf)


def test_first_recoveries_and_their_rank_correlation(make_run: MakeRun):
    path = make_run(polarity=1.0, replicates=5, max_epochs=8, splits=("val", "train"))
    frame = collect(loaded([path]), "teacher_nodes", [POLARITY])
    recoveries = specialization_order.recovery_epochs(frame)
    table = read_table(path, "teacher_nodes")
    expected = [[first_epoch(table, r, j) for j in (1, 2, 3, 4)] for r in range(5)]
    np.testing.assert_array_equal(recoveries["epoch"].to_numpy().reshape(5, 4), expected)
    assert 0 < np.isinf(expected).sum() < 20  # some are censored
    assert (recoveries["last_epoch"] == 8).all()
    np.testing.assert_allclose(recoveries["strength"].to_numpy().reshape(5, 4)[0], [1, 1 / 2, 1 / 3, 1 / 4])
    correlations = specialization_order.rank_correlations(recoveries)["rank_correlation"]
    for drawn, epochs in zip(correlations, expected, strict=True):
        # Pearson on the ranks; those never recovered come last, together.
        ranks = stats.rankdata(np.minimum(epochs, 1000))
        assert drawn == pytest.approx(np.corrcoef(ranks, [4, 3, 2, 1])[0, 1])


def test_draws_medians_over_seeds_with_those_never_recovered(make_run: MakeRun):
    path = make_run(replicates=5, max_epochs=8)
    figure = specialization_order.draw(loaded([path]))
    left, right = figure.axes
    assert titles(figure)[0] == "polarity $p = 1$"
    table = read_table(path, "teacher_nodes")
    epochs = np.array([[first_epoch(table, r, j) for j in (1, 2, 3, 4)] for r in range(5)])
    medians = np.sort(epochs, axis=0)[2]
    every, found, never = (line for line in left.get_lines() if line.get_linestyle() == "None")
    assert len(every.get_xdata()) == 5 * 4
    assert (every.get_ydata() > 8).sum() == np.isinf(epochs).sum()  # type: ignore[operator]
    np.testing.assert_allclose(found.get_ydata(), medians[np.isfinite(medians)])
    np.testing.assert_allclose(found.get_xdata(), (1 / np.arange(1, 5))[np.isfinite(medians)])
    np.testing.assert_allclose(never.get_xdata(), (1 / np.arange(1, 5))[np.isinf(medians)])
    assert left.get_yticklabels()[-1].get_text() == "never"
    of_seeds = right.get_lines()[0].get_ydata()
    recoveries = specialization_order.recovery_epochs(collect(loaded([path]), "teacher_nodes", [POLARITY]))
    np.testing.assert_array_equal(
        of_seeds, specialization_order.rank_correlations(recoveries)["rank_correlation"].to_numpy()
    )


def test_confidence_is_that_of_a_t_test():
    values = pd.Series([-0.9, -0.7, np.nan, -0.8, -0.5])
    interval = stats.ttest_1samp(values.dropna(), 0).confidence_interval(0.95)
    mean, low, high = specialization_order.confidence(values)
    assert mean == pytest.approx(-0.725)
    assert low == pytest.approx(interval.low)
    assert high == pytest.approx(interval.high)
    assert np.isnan(specialization_order.confidence(pd.Series([-0.5]))[1])


def test_an_interval_ends_at_the_ends_of_correlations():
    values = pd.Series([-0.85, -0.88])
    half = 12.7062047 * values.std() / np.sqrt(2)  # Student's t of one degree of freedom: tan(0.475 π)
    assert -0.865 - half < -1
    assert specialization_order.confidence(values) == pytest.approx((-0.865, -1, -0.865 + half))
    assert specialization_order.confidence(-values) == pytest.approx((0.865, 0.865 - half, 1))
    assert specialization_order.confidence(pd.Series([-1.0, -1.0])) == (-1, -1, -1)


def test_runs_that_recover_nothing_have_no_rank_correlation(make_run: MakeRun):
    path = make_run(layers=2)
    nodes = read_table(path, "teacher_nodes").assign(**{"recovered_0.95": False})
    figure = specialization_order.draw([Run(path, tables={"teacher_nodes": nodes})])
    assert "6 rank correlations are undefined" in notes(figure)
    assert figure.axes[1].get_xticklabels()[0].get_text() == "2×\nundefined"
    assert titles(figure)[::2] == ["polarity $p = 1$, layer 1", "polarity $p = 1$, layer 2"]
    notes_in_a_line = notes(figure).replace("\n", " ")
    assert "95 % confidence interval (Student's t, cut off at −1 and 1)" in notes_in_a_line
    assert "epochs is linear up to 1 and logarithmic above" in notes_in_a_line
    assert r"\beta^\circ" in figure.axes[2].get_xlabel()


def test_curves_of_several_widths(make_run: MakeRun):
    paths = [make_run(f"m{m}", multiplier=m) for m in (1, 2)]
    figure = specialization_order.draw(loaded(paths))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1×", "2×"]
    assert len(figure.axes[1].get_xticks()) == 2
