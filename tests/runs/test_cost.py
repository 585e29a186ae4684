"""What runs cost: said by each, kept over stops, and summed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fitting import TINY
from tests.made_up_runs import fake_run
from tsl.fit import main
from tsl.report.page import make_page
from tsl.runs import Run
from tsl.runs.cost import Cost, cost_of, duration, total_cost

FIRST, SECOND = Cost(60.0, 1_000, 3 * 10**9), Cost(30.0, 500, 10**9)


@pytest.fixture
def cost(tmp_path: Path) -> Callable[[str, object], Path]:
    def write(name: str, said: object) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(json.dumps({"state": "complete", "cost": said}))
        return tmp_path / name

    return write


def test_costs_are_summed_and_memory_is_that_of_the_largest(
    cost: Callable[[str, object], Path], tmp_path: Path
) -> None:
    runs = [cost("a", FIRST._asdict()), cost("b", SECOND._asdict()), tmp_path / "none"]
    assert total_cost(runs) == Cost(90.0, 1_500, 3 * 10**9)
    assert str(total_cost(runs)) == "1,500 student-steps (17 a second) in 90 s, peak memory 3.0 GB"


@pytest.mark.parametrize("said", [None, {"seconds": 1.0, "unknown": 2}, "much"])
def test_what_cannot_be_read_counts_as_unsaid(cost: Callable[[str, object], Path], said: object) -> None:
    assert cost_of(cost("a", said)) is None


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 99, 100, 5999, 6000)] == ["0 s", "99 s", "2 min", "100 min", "1.7 h"]


def test_a_run_says_what_it_cost_and_adds_up_what_it_cost_before_a_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "--trainer.default_root_dir", str(tmp_path), "--version", "a"]
    main([*words, "--trainer.max_epochs", "1"])
    run = tmp_path / "tiny/a"
    before = cost_of(run)
    assert before is not None
    assert before.student_steps == 2 * 8  # replicates × steps of an epoch
    assert 0 < before.seconds < 600
    assert 10**8 < before.peak_memory < 10**11
    main([*words, "--trainer.max_epochs", "3", "--ckpt_path", "last"])
    after = cost_of(run)
    assert after is not None
    assert after.student_steps == 2 * 8 * 3
    assert after.seconds > before.seconds
    assert str(after) in capsys.readouterr().out
    assert str(after) in make_page([Run(run)], [])


def test_a_report_of_runs_that_do_not_say_it_says_nothing(tmp_path: Path) -> None:
    fake_run(tmp_path / "a")
    assert "student-steps" not in make_page([Run(tmp_path / "a")], [])
