"""Made-up runs whose overlaps are the solution of the equations themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_up_courses import ALPHA, course, made_run
from tsl.errors import InputError
from tsl.figures import order_parameters
from tsl.figures.order_parameters import best_order, differentiation, in_order, sorted_nodes, transition
from tsl.figures.theory_lines import recorded_course, theory_of
from tsl.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made_run(tmp_path_factory.mktemp("T1") / "a")


def test_theory_of_a_run_that_follows_it_is_the_run(run: Run) -> None:
    recorded, solved = recorded_course(run), theory_of(run, ALPHA)
    for name in ("alpha", "Q", "R", "T", "readout", "teacher_readout", "loss"):
        np.testing.assert_allclose(getattr(recorded, name), getattr(solved, name), atol=1e-5)
    assert recorded.R.shape == (26, 2, 3, 2)


def test_the_figure_shows_each_run_and_its_theory(run: Run) -> None:
    without, with_theory = order_parameters.draw([run]), order_parameters.draw([run, run], theory=True)
    assert len(without.axes) == 3
    assert len(with_theory.axes) == 6
    assert {text.get_text() for text in with_theory.legends[0].get_texts()} >= {"theory", "plateau", "specialization"}
    assert "theory" not in {text.get_text() for text in without.legends[0].get_texts()}
    overlaps = with_theory.axes[1]
    drawn = [line for line in overlaps.lines if len(line.get_xdata()) == 201]
    assert len(drawn) == 3  # R of two nodes with their teacher nodes, and of the others
    losses = recorded_course(run).loss  # [times, replicates]
    points = with_theory.axes[2].containers[0].lines[0]
    np.testing.assert_allclose(points.get_ydata(), np.exp(np.log(losses).mean(axis=1)), rtol=1e-9)
    assert drawn[0].get_ydata()[-1] == pytest.approx(recorded_course(run).R[-1].max(axis=1).mean(), abs=0.2)


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
    without = transition(course(R, alpha, np.full(7, np.nan)))
    assert without == (None, pytest.approx(4.0))
    steep = transition(course(R, alpha, 2.0 ** -np.arange(7)))
    assert steep is not None
    assert steep.plateau is None


def test_student_nodes_are_put_in_the_order_of_their_teacher_nodes(run: Run) -> None:
    recorded = recorded_course(run)
    order = best_order(recorded)
    sorted_course = in_order(recorded, order)
    for r in range(2):
        np.testing.assert_array_equal(sorted_course.R[:, r], recorded.R[:, r][:, order[r]])
        np.testing.assert_array_equal(sorted_course.Q[:, r], recorded.Q[:, r][:, order[r]][:, :, order[r]])
        assert (np.abs(sorted_course.cosines[-1, r]).argmax(axis=0) == [0, 1]).all()


def test_nodes_that_end_opposite_to_their_teacher_nodes_are_turned() -> None:
    R = np.array([[[-0.1, 0.0], [0.1, 0.2]], [[-0.9, 0.1], [0.3, -0.2]]])
    turned = sorted_nodes(course(R, np.arange(2.0), np.ones(2)))
    np.testing.assert_array_equal(turned.R[:, 0], [[[0.1, 0.0], [0.1, 0.2]], [[0.9, -0.1], [0.3, -0.2]]])
    np.testing.assert_array_equal(turned.Q[:, 0], np.tile(np.eye(2), (2, 1, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fresh_inputs": False}, r"fresh_inputs = False, but theory applies only to runs in which each input"),
        ({"loss": "tsl.modules.mse"}, r"model.init_args.loss = tsl.modules.mse, .* half the squared error"),
        ({"normalization": "dimension"}, r'but they are normalized by "dimension": run it again'),
    ],
)
def test_runs_that_theory_is_not_about_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        theory_of(made_run(tmp_path / "run", **changes), ALPHA)
