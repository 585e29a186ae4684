from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.made_up_courses import BATCH, DIM, ETA, STD, course, made_run
from tsl.experiments.theory_outcomes import (
    PLATEAU,
    approach_to_theory,
    beside_theory,
    censored_slope,
    exponent,
    exponents,
    late_error,
    law_in_words,
    passing_times,
)
from tsl.figures import final_error
from tsl.figures.theory_lines import recorded_course
from tsl.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made_run(tmp_path_factory.mktemp("T1") / "a")


def test_outcomes_of_a_run_that_follows_theory(run: Run) -> None:
    (group,) = run.groups
    told = beside_theory(group)
    assert told["specialization, α"] == told["by theory"] != "none"
    assert float(told["greatest |R − theory|"].split()[0]) < 1e-5
    assert len(set(late_error(group).values())) == 1


def test_the_distance_to_theory_is_measured_on_the_plateau_and_its_power_in_d_is_fitted(tmp_path: Path) -> None:
    """Runs that are off by 0.3 · √(500 / d) in every entry of Q and R."""
    runs = []
    for dim in (500, 1000, 2000):
        optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": ETA * BATCH / (dim * STD**2)}}
        shift = 0.3 * (DIM / dim) ** 0.5
        runs.append(made_run(tmp_path / str(dim), shift=shift, dim=dim, optimizer=optimizer))
    told = approach_to_theory(runs)
    assert told[0].startswith(f"distance to theory up to α = {PLATEAU}")
    assert told[0].endswith("0.3000 at d = 500, 0.2121 at d = 1000, 0.1500 at d = 2000")
    assert told[1] == "it goes as d to the power -0.50 (-0.50 to -0.50) (95 %)"
    assert len(approach_to_theory(runs[:1])) == 1


def test_final_errors_are_means_over_the_last_quarter(run: Run) -> None:
    frame = final_error.final_errors([run])
    assert len(frame) == 2
    assert frame["rate"].tolist() == [pytest.approx(ETA)] * 2
    assert frame[["students", "teachers", "noise"]].iloc[0].tolist() == [3, 2, 0.1]
    late = recorded_course(run).loss[-6:]  # of 26
    np.testing.assert_allclose(frame["loss"], late.mean(axis=0))
    np.testing.assert_allclose(frame["theory"], frame["loss"], rtol=1e-3)


def test_the_figure_shows_errors_of_each_width_beside_theory(run: Run, tmp_path: Path) -> None:
    figure = final_error.draw([run, made_run(tmp_path / "noisy", noise=0.2)])
    first, second = figure.axes
    assert [panel.get_title() for panel in figure.axes] == [r"$\sigma = 0.1$", r"$\sigma = 0.2$"]
    loss = recorded_course(run).loss[-6:]
    points, theory, limit = first.get_lines()
    assert points.get_xydata() == pytest.approx(np.array([[3, loss.mean()]]))
    assert theory.get_ydata() == pytest.approx([loss.mean()], rel=1e-3)
    small = ETA * 0.1**2 / (2 * np.pi) * (1 + 2 / np.sqrt(3))
    assert limit.get_ydata() == pytest.approx([small])
    assert second.get_lines()[2].get_ydata() == pytest.approx([4 * small])


def test_the_law_of_final_errors_is_read_off_their_powers() -> None:
    rows = [(K, rate, noise) for K in (2, 3) for rate in (0.5, 1.0, 2.0) for noise in (0.1, 0.2)]
    frame = pd.DataFrame(rows, columns=["students", "rate", "noise"])
    frame["loss"] = 0.1 * frame["students"] * frame["rate"] * frame["noise"] ** 2
    assert law_in_words(frame) == [
        "K = 2: the final error goes as rate to the power 1.00 (1.00 to 1.00), noise to the power 2.00 (2.00 to 2.00) "
        "(95 %)",
        "K = 3: the final error goes as rate to the power 1.00 (1.00 to 1.00), noise to the power 2.00 (2.00 to 2.00) "
        "(95 %)",
        "final error over η σ², mean ± standard error: 0.200 ± 0.000 at K = 2, 0.300 ± 0.000 at K = 3",
    ]
    assert len(law_in_words(frame[frame["rate"] == 1])) == 3
    assert len(law_in_words(frame[(frame["rate"] == 1) & (frame["noise"] == 0.1)])) == 1


def test_powers_and_their_intervals_are_those_of_scipy() -> None:
    draw = np.random.default_rng(0)
    x, z = draw.normal(size=(2, 30))
    y = 1 + 2 * x + 0.3 * draw.normal(size=30)
    expected = stats.linregress(x, y)
    half = stats.t.ppf(0.975, 28) * expected.stderr
    (found,) = exponents(y, x)
    assert found == pytest.approx((expected.slope, expected.slope - half, expected.slope + half))
    of_x, of_z = exponents(2 * x - 3 * z, x, z)
    assert (of_x.value, of_z.value) == pytest.approx((2, -3))


def test_passing_times_lie_on_straight_lines_between_evaluations() -> None:
    R = np.zeros((3, 2, 3))
    R[1:, 0, 0] = -0.4, -0.6  # the sign does not matter
    R[0, 1, 1] = 0.9  # from the start on
    times = passing_times(course(R, np.array([0.0, 10.0, 20.0]), np.ones(3)))
    assert times[0].tolist() == [15.0, 0.0, np.inf]


def test_the_exponent_is_that_of_a_power_law() -> None:
    strength = np.array([[4.0, 2.0, 1.0], [8.0, 2.0, 1.0]])
    found = exponent(strength, 3 * strength**-1.5, end=10)
    assert found == pytest.approx((-1.5, -1.5, -1.5), abs=1e-6)
    assert found.in_words == "-1.50 (-1.50 to -1.50)"
    assert np.isnan(exponent(strength, np.full((2, 3), np.inf), end=10).value)


def test_nodes_that_are_never_recovered_count_as_later_than_the_end() -> None:
    """Of a power law with noise whose latest half is cut off: leaving it out gives too small an exponent."""
    draw = np.random.default_rng(0)
    strength = np.tile(1 / np.arange(1.0, 6), (400, 1))
    times = strength**-2 * np.exp(0.5 * draw.normal(size=strength.shape))
    without = np.polyfit(np.log(strength.ravel()), np.log(times.ravel()), 1)[0]
    assert censored_slope(strength, times, end=np.inf) == pytest.approx(without, abs=1e-4)  # least squares
    end = float(np.median(times))
    cut = np.where(times <= end, times, np.inf)
    assert censored_slope(strength, cut, end) == pytest.approx(-2, abs=0.05)
    seen = np.isfinite(cut)
    assert np.polyfit(np.log(strength[seen]), np.log(cut[seen]), 1)[0] > -1.7
