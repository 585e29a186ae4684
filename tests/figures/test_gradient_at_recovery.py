"""The gradient sup-norm at first recovery, and what is told of it, compared with the records row by row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.figures.drawings import loaded, notes, titles
from tsl.experiments.gradient_outcomes import gradient_in_words, gradient_order
from tsl.figures import gradient_at_recovery
from tsl.runs import Run
from tsl.runs.records import read_table

MakeRun = Callable[..., Path]

SEEDS, NODES = range(5), (1, 2, 3, 4)


def gradients(path: Path) -> np.ndarray:
    """Spelled out: the sup-norm at the first epoch at which each node's best correlation is above 0.95; 0 if never."""
    nodes, losses = read_table(path, "teacher_nodes"), read_table(path, "losses")
    found = np.zeros((len(SEEDS), len(NODES)))
    for seed in SEEDS:
        for node in NODES:
            for epoch in sorted(nodes["epoch"].unique()):
                here = nodes[(nodes["epoch"] == epoch) & (nodes["replicate"] == seed) & (nodes["node"] == node)]
                if here.loc[here["split"] == "val", "best_correlation"].item() > 0.95:
                    of_epoch = losses[(losses["epoch"] == epoch) & (losses["replicate"] == seed)]
                    found[seed, node - 1] = of_epoch["gradient_sup_norm"].item()
                    break
    return found


@pytest.fixture
def path(make_run: MakeRun) -> Path:
    """Records of nodes at every second epoch, as if only these were measured; of losses at every one."""
    path = make_run(replicates=5, max_epochs=8, splits=("val", "train"))
    for epoch in (1, 3, 5, 7):
        (path / f"records/teacher_nodes/epoch_{epoch:05}.parquet").unlink()
    return path


def test_the_gradient_is_that_of_the_epoch_of_first_recovery(path: Path) -> None:
    expected = gradients(path)
    assert 0 < (expected == 0).sum() < expected.size  # some are never recovered
    frame = gradient_at_recovery.at_first_recovery([Run(path)])
    np.testing.assert_allclose(frame["gradient_sup_norm"].to_numpy().reshape(5, 4), expected)
    greatest = read_table(path, "losses").groupby("replicate")["gradient_sup_norm"].max().to_numpy()
    np.testing.assert_allclose(frame["share"].to_numpy().reshape(5, 4), expected / greatest[:, None])


def test_rank_correlations_are_those_of_the_ranks(path: Path) -> None:
    expected = gradients(path)
    strengths = [1, 1 / 2, 1 / 3, 1 / 4]
    every = [np.corrcoef(stats.rankdata(of_seed), stats.rankdata(strengths))[0, 1] for of_seed in expected]
    of_recovered = [
        np.corrcoef(stats.rankdata(of_seed[of_seed > 0]), stats.rankdata(np.array(strengths)[of_seed > 0]))[0, 1]
        for of_seed in expected
        if len(set(of_seed[of_seed > 0])) > 1
    ]
    [group] = Run(path).groups
    told = gradient_order(group)
    for name, values in (("rank correlation of strength and gradient", every), ("of recovered nodes", of_recovered)):
        assert told[name][:3] == pytest.approx((np.mean(values), np.std(values, ddof=1), len(values)))
    greatest = read_table(path, "losses").groupby("replicate")["gradient_sup_norm"].max().to_numpy()
    weakest = [of_seed[of_seed > 0][-1] / of_greatest for of_seed, of_greatest in zip(expected, greatest, strict=True)]
    assert told["weakest node recovered"][0] == pytest.approx(np.mean(weakest))

    interval = stats.ttest_1samp(every, 0).confidence_interval(0.95)
    first, last = gradient_in_words([Run(path)])
    words = f"{np.mean(every):.3f} ({interval.low:.3f} to {interval.high:.3f}, 95 %, 5 of 5 seeds)"
    assert first.startswith(
        f"polarity 1, 2×: rank correlation of strength and gradient sup-norm at first recovery {words}"
    )
    assert last.startswith("nodes are measured every 2 epochs")


def test_nodes_that_all_come_together_have_no_rank_correlation(path: Path) -> None:
    nodes = read_table(path, "teacher_nodes").assign(**{"recovered_0.95": True})
    run = Run(path, tables={"teacher_nodes": nodes})
    assert "at first recovery undefined; never recovered: none" in gradient_in_words([run])[0]
    assert gradient_order(run.groups[0])["of recovered nodes"] == "undefined"


def test_nodes_never_recovered_are_named(path: Path) -> None:
    recoveries = gradient_at_recovery.at_first_recovery([Run(path)])
    never = {1: [], 2: [3], 3: [0, 3], 4: [0, 3]}
    marks = [seed not in never[node] for seed, node in zip(recoveries["replicate"], recoveries["node"], strict=True)]
    named = gradient_at_recovery.never_recovered(recoveries.assign(gradient_sup_norm=np.array(marks, dtype=float)))
    assert named == "node 2 (1 of 5 seeds), nodes 3 to 4 (2)"
    assert gradient_at_recovery.never_recovered(recoveries.assign(gradient_sup_norm=1.0)) == "none"


def test_draws_every_recovered_node_and_medians_over_seeds(path: Path) -> None:
    expected = gradients(path)
    figure = gradient_at_recovery.draw(loaded([path]))
    left, _ = figure.axes
    assert titles(figure)[0] == "polarity $p = 1$"
    pale, marks = left.get_lines()
    np.testing.assert_allclose(sorted(pale.get_ydata()), sorted(expected[expected > 0]))
    medians = np.sort(expected, axis=0)[2]
    np.testing.assert_allclose(marks.get_ydata(), medians[medians > 0])
    assert f"{(expected == 0).sum()} of 20 nodes of all seeds are never recovered" in notes(figure).replace("\n", " ")
