"""Needs of runs with several numbers of inputs, their figure and their words, compared with the records."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.figures.drawings import notes
from tests.made_up_runs import fake_run
from tsl.errors import InputError
from tsl.experiments.theorem_outcomes import growth_in_words, need_in_words, samples_needed
from tsl.figures import sample_needs
from tsl.figures.sample_needs import needs_of
from tsl.runs import Run
from tsl.runs.records import read_table, write_table
from tsl.theory.tipping_point import TippingPoint, tipping_point

SIZES, SEEDS, NODES = [10, 40, 160, 640], 8, 5


def made(path: Path, dim: int = 32, augmentation: str | None = None, multiplier: float = 2.0, **chance: Any) -> Run:
    """A run of 8 seeds for each size, whose nodes have an error √(1 − ρ*²) that falls as dim / size, with scatter."""
    fake_run(path, multiplier=multiplier, replicates=SEEDS * len(SIZES), teacher_nodes=NODES, max_epochs=1)
    config = yaml.safe_load((path / "config.yaml").read_text())
    config["model"]["init_args"] |= {"student": {"init_args": {"multiplier": multiplier}}}
    config["model"]["init_args"]["teacher"] = {"init_args": {"widths": [NODES]}}
    made_of = augmentation and {"class_path": f"tsl.data.{augmentation}"}
    config["data"] = {"init_args": {"dim": dim, "train_size": SIZES, "augmentation": made_of}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    each = {None: 1, "TeacherAgnostic": 2 * dim + 1, "TeacherAware": 3}[augmentation]
    sizes = np.array(SIZES * SEEDS)
    losses = read_table(path, "losses", [1]).assign(train_size=sizes, augmented_size=each * sizes)
    write_table(path, "losses", 1, losses)
    nodes = read_table(path, "teacher_nodes", [1])
    scatter = np.exp(0.5 * np.random.default_rng(dim).standard_normal(len(nodes)))
    error = np.minimum(1, scatter * dim / sizes[nodes["replicate"]])
    write_table(path, "teacher_nodes", 1, nodes.assign(best_correlation=np.sqrt(1 - error**2)))
    return Run(path)


def test_a_need_is_where_the_share_of_nodes_with_that_error_crosses(tmp_path: Path) -> None:
    run = made(tmp_path / "a", augmentation="TeacherAgnostic")
    needs = needs_of(run, [0.3, 0.1])
    assert [each[:6] for each in needs] == [("agnostic", 32, 5, 10, epsilon, 65) for epsilon in (0.3, 0.1)]
    nodes = read_table(run.path, "teacher_nodes", [1])
    for need in needs:
        shares: dict[int, list[float]] = {size: [] for size in SIZES}
        for replicate in range(SEEDS * len(SIZES)):  # spelled out
            best = nodes.loc[nodes["replicate"] == replicate, "best_correlation"]
            errors = [(1 - rho**2) ** 0.5 for rho in best]
            shares[SIZES[replicate % 4]].append(sum(error < need.epsilon for error in errors) / NODES)
        expected = tipping_point({size: np.array(of_size) for size, of_size in shares.items()}, 0.9)
        assert need.inputs[:3] == pytest.approx(expected[:3])
        assert need.samples.size == pytest.approx(65 * expected.size)


def test_outcome_and_exponents_in_words(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"{dim}", dim, "TeacherAware") for dim in (8, 16, 32, 64)]
    [group] = [Run(runs[0].path)]
    told = samples_needed(Run(group.path).groups[0])
    first = needs_of(runs[0])[0]
    assert told["samples of an input"] == "3"
    assert told["inputs needed at ε = 0.3"] == need_in_words(first.inputs)
    ratio = 15**2.5 * 8 / 0.3 / (3 * first.inputs.size)
    assert told["theorem's order over samples at ε = 0.3"] == f"{ratio:.1e}"
    sentences = growth_in_words(runs)
    at = next(words for words in sentences if words.startswith("aware: samples needed at ε = 0.3 go as d"))
    power = float(at.split("to the power ")[1].split()[0])
    assert power == pytest.approx(1, abs=0.2)  # the errors fall as dim / size
    assert "theorem 1)" in at


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((112.4, 98.2, 1300.0), "112 (98.2 to 1,300)"),
        ((0.0, 0.0, 0.0), "fewer than measured"),
        ((np.inf, 3.0, np.inf), "more than measured"),
    ],
)
def test_needs_in_words(point: tuple[float, float, float], words: str) -> None:
    assert need_in_words(TippingPoint(*point, np.zeros(1))) == words


def test_draws_needs_with_and_without_augmented_samples(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"{dim}{kind}", dim, kind) for dim in (8, 16, 32) for kind in (None, "TeacherAgnostic")]
    figure = sample_needs.draw(runs)
    of_d, of_epsilon = figure.axes
    assert (of_d.get_xlabel(), of_epsilon.get_xlabel()) == ("$d$", r"$1/\epsilon$")
    at = [needs_of(run, [0.1])[0] for run in runs]
    drawn = [line.get_ydata() for line in of_d.get_lines() if len(line.get_xdata()) == 3]
    for kind in ("plain", "agnostic"):
        samples = [need.samples.size for need in at if need.kind == kind]
        assert any(np.allclose(line, samples) for line in drawn)
    assert any(np.allclose(line, [need.inputs.size for need in at if need.kind == "agnostic"]) for line in drawn)
    bounds = np.array([need.bound for need in at if need.kind == "agnostic"])
    first = at[1].samples.size
    assert any(np.allclose(line, bounds / bounds[0] * first) for line in drawn)
    assert "of 24 points lie outside the measured numbers of inputs" in notes(figure)


def test_runs_of_one_size_are_refused(tmp_path: Path) -> None:
    path = fake_run(tmp_path / "runs/one")
    losses = pd.concat(read_table(path, "losses", [epoch]) for epoch in range(7)).assign(train_size=5, augmented_size=5)
    with pytest.raises(InputError, match=r"expected one hidden layer, student\.multiplier, and several numbers of"):
        sample_needs.draw([Run(path, tables={"losses": losses})])
