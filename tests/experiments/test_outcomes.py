"""The closing table's rows, for runs whose replicates differ in settings."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from tests.made_up_runs import fake_run
from tsl.experiments import outcomes
from tsl.experiments.catalogue import EXPERIMENTS
from tsl.experiments.planned_run import PlannedRun
from tsl.experiments.results import closing_table, results_of
from tsl.runs import ReplicateGroup, Run
from tsl.runs.records import read_table, write_table
from tsl.runs.settings import POLARITY, TRAIN_SIZE

SIZES = [40, 40, 90, 90]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of eight replicates: two of each polarity and number of training samples."""
    path = fake_run(tmp_path / "runs/all", polarity=[0.5, 2.0], replicates=8, max_epochs=6)
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(config | {"data": {"init_args": {"train_size": SIZES}}}))
    for epoch in range(7):
        losses = read_table(path, "losses", [epoch])
        write_table(path, "losses", epoch, losses.assign(train_size=SIZES * 2, augmented_size=SIZES * 2))
    rows = {"replicate": range(8), "seed": range(8), POLARITY: [0.5, 2.0] * 4, TRAIN_SIZE: SIZES * 2}
    write_table(path, "replicates", 0, pd.DataFrame(rows))
    return Run(path)


OUTCOMES = [
    *(outcomes.recovery, outcomes.corner, outcomes.final_loss, outcomes.mean_correlation, outcomes.layer_correlations),
    *(outcomes.accuracy_and_correlations, outcomes.range_of_correlations),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_setting_has_the_outcome_of_a_run_of_its_own(
    run: Run, outcome: Callable[[ReplicateGroup], dict[str, Any]], tmp_path: Path
) -> None:
    found = list(outcomes.outcomes(run, outcome))
    assert [group.varying for group, _ in found] == [
        {POLARITY: polarity, TRAIN_SIZE: size} for size in (40, 90) for polarity in (0.5, 2.0)
    ]
    for group, words in found:
        tables = {}
        for table in ("teacher_nodes", "student_nodes", "layers", "losses"):
            frame = run.table(table)
            tables[table] = frame[frame["replicate"].isin(group.replicates)]
        rows = pd.DataFrame({"replicate": group.replicates, "seed": group.replicates})
        [alone] = Run(run.path, tables=tables | {"replicates": rows}).groups
        assert words == outcome(alone)


def test_the_number_of_samples_is_told_over_and_polarities_apart(run: Run) -> None:
    found = list(outcomes.outcomes(run, outcomes.few_and_many_samples, [TRAIN_SIZE]))
    assert [group.varying for group, _ in found] == [{POLARITY: 0.5}, {POLARITY: 2.0}]
    layers = read_table(run.path, "layers").query("epoch == 6")
    for polarity, (group, words) in enumerate(found):
        few = layers[layers["replicate"].isin([polarity, polarity + 4])]["rho_mean"]
        many = layers[layers["replicate"].isin([polarity + 2, polarity + 6])]["rho_mean"]
        assert group.replicates == [polarity, polarity + 2, polarity + 4, polarity + 6]
        assert [words[name].mean for name in ("fewest samples", "most samples")] == [40, 90]
        for name, values in (("rho_mean with them", few), ("rho_mean with these", many)):
            assert words[name].mean == pytest.approx(np.mean(values))
            assert words[name].std == pytest.approx(np.std(values, ddof=1))
            assert words[name].seeds == 2


def test_losses_of_deep_students_are_of_their_objective(run: Run) -> None:
    """As with cross-entropy, where the mean squared error is another number."""
    end = read_table(run.path, "losses", [6])
    write_table(run.path, "losses", 6, end.assign(train_loss=range(1, 9), val_loss=[10.0**n for n in range(8)]))
    words = outcomes.layer_correlations(Run(run.path).groups[1])  # replicates 1 and 5
    assert words["training loss at the end"][:3] == (4, pytest.approx(8**0.5), 2)  # of 2 and 6
    assert words["evaluation loss at the end"].mean == (10 + 1e5) / 2
    assert words["log10 evaluation loss at the end"][:3] == (3, pytest.approx(8**0.5), 2)


def test_the_best_learning_rate_of_each_optimizer(tmp_path: Path) -> None:
    losses = {("Adam", 0.01): 0.7, ("Adam", 0.001): 0.2, ("SGD", 0.02): 0.1, ("SGD", 0.2): np.nan}
    runs = []
    for (optimizer, rate), loss in losses.items():
        settings = {"class_path": f"torch.optim.{optimizer}", "init_args": {"lr": rate}}
        path = fake_run(tmp_path / f"runs/{optimizer}{rate}", layers=2, optimizer=settings)
        end = read_table(path, "losses", [6])
        write_table(path, "losses", 6, end.assign(val_loss=loss + np.array([-0.05, 0, 0.05])))
        layers = read_table(path, "layers", [6])
        write_table(path, "layers", 6, layers.assign(rho_mean=rate + 0.5 * layers["layer"] - 0.25))
        runs.append(Run(path))
    assert outcomes.best_rates(runs) == [
        "Adam does best at learning rate 0.001: evaluation loss 0.2, rho_mean of the layers 0.251, 0.751",
        "SGD does best at learning rate 0.02: evaluation loss 0.1, rho_mean of the layers 0.270, 0.770",
    ]


def test_the_closing_table_has_a_row_for_each_setting(run: Run) -> None:
    planned = PlannedRun({"multiplier": 2}, run.path, [], {})
    console = Console(width=200)
    with console.capture() as told:
        e5 = EXPERIMENTS["E5"]
        console.print(closing_table(results_of("E5", "quick", [planned], e5.outcome, e5.outcome_over)))
    settings = re.findall(r"polarity=[\d.]+", told.get())
    assert settings == ["polarity=0.5", "polarity=2"]
