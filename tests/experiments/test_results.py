"""Results beside published numbers: verdicts, the JSON that holds them, and tables of it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.made_up_runs import fake_run
from tsl.configs import config_directory
from tsl.errors import InputError
from tsl.experiments.catalogue import EXPERIMENTS
from tsl.experiments.cost import operations_of_a_step
from tsl.experiments.outcomes import final_loss
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.reproduce import main
from tsl.experiments.results import cells_of, markdown, results_of, write_results
from tsl.experiments.statistic import Published, References, Statistic, over_seeds, verdict
from tsl.runs.settings import in_words

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("measured", "published", "said"),
    [
        (Statistic(-3.2, 0.4, 16), (-3, -3, 0.0), "inside"),  # two standard errors are 0.2
        (Statistic(-3.21, 0.4, 16), (-3, -3, 0.0), "outside"),
        (Statistic(-3.21, 0.4, 16), (-3, -3, 0.02), "inside"),
        (Statistic(0.7, None, 32), (0.6, 0.8, 0.0), "inside"),
        (Statistic(0.81, None, 32), (0.6, 0.8, 0.0), "outside"),
        (Statistic(20, None, 32), (20, math.inf, 0.0), "inside"),
        (Statistic(math.nan, 0.0, 3), (1, 2, 0.0), "outside"),
    ],
)
def test_verdicts(measured: Statistic, published: tuple[float, float, float], said: str) -> None:
    assert verdict(measured, Published(*published, "figure")) == said
    assert verdict(measured, None) == "no reference"


def test_one_seed_has_no_spread() -> None:
    assert over_seeds([0.25]) == Statistic(0.25, 0.0, 1)
    assert over_seeds([1, 2, 4]).std == pytest.approx(1.527525)  # √(7/3)


def test_every_published_number_is_of_a_statistic_and_cell_that_is_run() -> None:
    """A misspelled axis or value would never be found, and read as "no reference"."""
    for name, entries in yaml.safe_load((config_directory() / "published.yaml").read_text()).items():
        axes = EXPERIMENTS[name].axes
        for entry in entries:
            for axis, value in entry["where"].items():
                assert in_words(value) in [in_words(each) for each in axes[axis]], (name, entry)


def test_an_entry_that_lacks_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    path.write_text("E3: [{where: {polarity: 1}, statistic: loss, value: 1, source: figure}]")
    with pytest.raises(InputError, match=r"published.yaml: entry 1 of E3 lacks error"):
        References("E3", path)


@pytest.fixture
def runs(tmp_path: Path) -> list[PlannedRun]:
    cells: list[dict[str, Any]] = [{"polarity": 1, "multiplier": 10}, {"polarity": 1, "multiplier": 2}]
    return [
        PlannedRun(cell, fake_run(tmp_path / f"{cell['multiplier']}", replicates=4, max_epochs=3), [], {})
        for cell in cells
    ]


def test_results_are_told_beside_what_is_published(runs: list[PlannedRun], tmp_path: Path) -> None:
    name = "log10 evaluation loss at the end"
    results = results_of("E3", "paper", runs, final_loss, [])
    ours = results["rows"][0]["statistics"][name]
    assert (ours["seeds"], ours["published"]) == (4, "-6 ± 0.1")
    assert ours["verdict"] == ("inside" if abs(ours["mean"] + 6) < 0.1 + ours["std"] else "outside")
    quick = results_of("E3", "quick", runs, final_loss, [])
    assert quick["rows"][0]["statistics"][name]["verdict"] == "no reference"

    heading, lines = cells_of(results)
    assert heading == ["multiplier", "seeds", name]
    assert lines[0] == ["10", "4", f"{ours['in_words']} ({ours['verdict']} -6 ± 0.1)"]
    assert markdown(results).splitlines()[1] == "| --- | --- | --- | --- |"

    path = tmp_path / "out/E3.json"
    write_results({**results, "rows": results["rows"][:1]}, path)
    write_results({**results, "rows": results["rows"][1:]}, path)  # another cell, asked for by --where
    kept = json.loads(path.read_text())["rows"]
    assert [row["cell"]["multiplier"] for row in kept] == ["2", "10"]
    assert kept == results["rows"][::-1]


def test_operations_of_a_step() -> None:
    """As counted by hand: 16 inputs, 100-40-50, three products a weight but two for those of the lowest layer."""
    prefix = "model.init_args.teacher.init_args."
    settings = {f"{prefix}input_dim": 100, f"{prefix}widths": [20], f"{prefix}output_dim": 50}
    settings |= {"model.init_args.student.init_args.multiplier": 2, "data.init_args.batch_size": 16}
    assert operations_of_a_step(settings) == 2 * 16 * (2 * 100 * 40 + 3 * 40 * 50)
    assert operations_of_a_step({}) is None


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["E4", "--root", str(tmp_path), "--config", str(ROOT / "tests/tiny.yaml"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "E4" in told
    assert "on one core" in told
    assert not any(tmp_path.iterdir())


def test_the_page_of_results_holds_what_was_run() -> None:
    from scripts.fill_results import DOCS, filled

    page = (DOCS / "results.md").read_text()
    assert filled(page, DOCS / "results") == page, "run python scripts/fill_results.py"


def test_a_table_is_filled_in_and_prose_stays(tmp_path: Path, runs: list[PlannedRun]) -> None:
    from scripts.fill_results import filled

    results = results_of("E3", "paper", runs, final_loss, [])
    write_results(results, tmp_path / "E3.json")
    page = filled("Before\n<!-- E3 -->\nold\n<!-- /E3 -->\nafter", tmp_path)
    assert page.startswith("Before\n<!-- E3 -->\n\n| multiplier |")
    assert page.endswith("|\n\n<!-- /E3 -->\nafter")
    assert "old" not in page
    assert filled(page, tmp_path) == page
