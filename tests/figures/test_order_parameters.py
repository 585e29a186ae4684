"""Made-up runs whose overlaps are the solution of the equations themselves."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tsl.errors import InputError
from tsl.experiments.theory_outcomes import beside_theory, censored_slope, exponent, late_error, passing_times
from tsl.figures import order_parameters
from tsl.figures.order_parameters import best_order, differentiation, in_order, transition
from tsl.figures.theory_lines import Course, recorded_course, theory_of
from tsl.runs import Run
from tsl.runs.records import write_table
from tsl.theory.activation import Activation
from tsl.theory.dynamics import Rates, Trajectory, learning_curve
from tsl.theory.order_parameters import order_parameters as order_parameters_of
from tsl.theory.population_loss import gaussian_averages

ALPHA = np.linspace(0, 100, 26)
DIM, BATCH, STD, LR = 500, 5, 2.0, 0.0025
ETA = LR * DIM * STD**2 / BATCH


def settings(**changes: Any) -> dict[str, Any]:
    """Nested settings of a run of erf committees with η = 1."""
    model: dict[str, Any] = {
        "teacher": {"init_args": {"activation": "erf", "bias": False}},
        "trained_layers": [1],
        "loss": "tsl.modules.half_squared_error",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": LR, "momentum": 0}},
        "noise": 0.1,
    }
    data: dict[str, Any] = {
        "distribution": {"class_path": "tsl.data.Gaussian", "init_args": {"std": STD}},
        "dim": DIM,
        "batch_size": BATCH,
        "fresh_inputs": True,
    }
    for key, value in changes.items():
        (model if key in ("loss", "noise") else data)[key] = value
    return {
        "seed_everything": 0,
        "replicates": 2,
        "model": {"class_path": "tsl.modules.TeacherStudent", "init_args": model},
        "data": {"init_args": data},
    }


@cache
def solution() -> Trajectory:
    """Of two replicates of K = 3, M = 2, whose first two nodes lean to a teacher node each."""
    draw = np.random.default_rng(0)
    W, W_teacher = draw.normal(size=(2, 3, 9)) / 10, np.tile(np.eye(2, 9), (2, 1, 1))
    W[:, :2] += 0.1 * W_teacher
    initial = order_parameters_of(torch.tensor(W), torch.tensor(W_teacher))
    readouts = torch.ones(2, 1, 3), torch.ones(2, 1, 2)
    averages = gaussian_averages(Activation("erf"), Activation("erf"), (3, 2))
    return learning_curve(initial, *readouts, averages, Rates(ETA, 0.0, 0.1), torch.tensor(ALPHA))


def made_run(path: Path, normalization: str = "fields", **changes: Any) -> Run:
    """A run that follows theory to the digit, recorded at `ALPHA`."""
    curve = solution()
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(settings(**changes)))
    for epoch, alpha in enumerate(ALPHA):
        rows = [
            {"replicate": r, "matrix": name, "row": i + 1, "column": k + 1, "value": float(value)}
            for name, matrix in curve.overlaps._asdict().items()
            for (r, i, k), value in np.ndenumerate(matrix[epoch].numpy())
        ]
        when = {"epoch": epoch, "alpha": alpha}
        write_table(path, "overlaps", epoch, pd.DataFrame(rows).assign(**when, normalization=normalization))
        weights = [
            {"replicate": r, "network": name, "output": 1, "node": node + 1, "value": 1.0}
            for name, nodes in (("student", 3), ("teacher", 2))
            for r in range(2)
            for node in range(nodes)
        ]
        write_table(path, "output_weights", epoch, pd.DataFrame(weights).assign(**when))
        losses = pd.DataFrame({"replicate": [0, 1], "population_loss": curve.loss[epoch].numpy()})
        columns = dict.fromkeys(("train_loss", "val_loss", "val_mse", "gradient_sup_norm"), 0.1)
        write_table(path, "losses", epoch, losses.assign(epoch=epoch, **columns))
    return Run(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made_run(tmp_path_factory.mktemp("T1") / "a")


def test_theory_of_a_run_that_follows_it_is_the_run(run: Run) -> None:
    recorded, solved = recorded_course(run), theory_of(run, ALPHA)
    for name in ("alpha", "Q", "R", "T", "readout", "teacher_readout", "loss"):
        np.testing.assert_allclose(getattr(recorded, name), getattr(solved, name), atol=1e-5)
    assert recorded.R.shape == (26, 2, 3, 2)
    (group,) = run.groups
    told = beside_theory(group)
    assert told["specialization, α"] == told["by theory"] != "none"
    assert float(told["greatest |R − theory|"].split()[0]) < 1e-5
    assert len(set(late_error(group).values())) == 1


def test_the_figure_shows_each_run_and_its_theory(run: Run) -> None:
    without, with_theory = order_parameters.draw([run]), order_parameters.draw([run, run], theory=True)
    assert len(without.axes) == 3
    assert len(with_theory.axes) == 6
    assert {text.get_text() for text in with_theory.legends[0].get_texts()} >= {"theory", "plateau", "specialization"}
    assert "theory" not in {text.get_text() for text in without.legends[0].get_texts()}
    overlaps = with_theory.axes[1]
    drawn = [line for line in overlaps.lines if len(line.get_xdata()) == 201]
    assert len(drawn) == 3  # R of two nodes with their teacher nodes, and of the others
    assert drawn[0].get_ydata()[-1] == pytest.approx(recorded_course(run).R[-1].max(axis=1).mean(), abs=0.2)


def course(R: np.ndarray, alpha: np.ndarray, loss: np.ndarray) -> Course:
    """One replicate of unit student and teacher vectors; R `[times, K, M]`."""
    times, K, M = R.shape
    Q, T = np.tile(np.eye(K), (times, 1, 1, 1)), np.eye(M)[None]
    readouts = np.ones((times, 1, 1, K)), np.ones((1, 1, M))
    return Course(alpha, Q, R[:, None], T, *readouts, loss[:, None])


def test_the_transition_is_where_nodes_come_apart() -> None:
    alpha = np.arange(7.0)
    apart = np.array([0, 0, 0, 0.02, 0.5, 1, 1])  # half of 1 is passed at 4
    R = 0.5 * np.ones((7, 2, 2)) * (1 - apart[:, None, None]) + np.eye(2) * apart[:, None, None]
    loss = np.array([1, 0.3, 0.21, 0.2, 0.1, 0.01, 0.01])
    found = transition(course(R, alpha, loss))
    assert found is not None
    assert found.plateau == (2, 3)
    assert found.specialization == pytest.approx(4.0)
    assert differentiation(course(R, alpha, loss))[-1] == pytest.approx(0.5)
    assert transition(course(R[:4], alpha[:4], loss[:4])) is None


def test_student_nodes_are_put_in_the_order_of_their_teacher_nodes(run: Run) -> None:
    recorded = recorded_course(run)
    order = best_order(recorded)
    sorted_course = in_order(recorded, order)
    for r in range(2):
        np.testing.assert_array_equal(sorted_course.R[:, r], recorded.R[:, r][:, order[r]])
        np.testing.assert_array_equal(sorted_course.Q[:, r], recorded.Q[:, r][:, order[r]][:, :, order[r]])
        assert (np.abs(sorted_course.cosines[-1, r]).argmax(axis=0) == [0, 1]).all()


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fresh_inputs": False}, r"data.init_args.fresh_inputs = False, and theory is about runs in which each input"),
        ({"loss": "tsl.modules.mse"}, r"model.init_args.loss = tsl.modules.mse, .* half the squared error"),
        ({"normalization": "dimension"}, r'overlaps normalized by "dimension".* run it again'),
    ],
)
def test_runs_that_theory_is_not_about_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        theory_of(made_run(tmp_path / "run", **changes), ALPHA)
