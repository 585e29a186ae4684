"""The figure of seeds compared with each other, and its numbers, spelled out."""

from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student_t

from tests.figures.drawings import notes
from tests.made_up_runs import fake_run
from tsl.figures import universality
from tsl.figures.__main__ import main
from tsl.runs import Run
from tsl.runs.records import write_table

SEEDS, NODES, LAYERS = 4, 5, 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = fake_run(tmp_path_factory.mktemp("seeds") / "runs/one", 1, replicates=SEEDS, layers=LAYERS)
    generator = np.random.default_rng(0)
    for epoch in (0, 6):
        pairs = [
            {"replicate": r, "other_replicate": s, "layer": layer, "one_to_one": generator.uniform(0.5, 1)}
            for r, s in combinations(range(SEEDS), 2)
            for layer in (1, 2)
        ]
        nodes = [
            {"replicate": r, "other_replicate": s, "layer": layer, "node": node}
            for r, s in permutations(range(SEEDS), 2)
            for layer in (1, 2)
            for node in range(1, NODES + 1)
        ]
        write_table(path, "seed_pairs", epoch, pd.DataFrame(pairs).assign(epoch=epoch, one_to_one_null=0.1))
        best = generator.uniform(0.9, 1, len(nodes))
        frame = pd.DataFrame(nodes).assign(epoch=epoch, best_correlation=best, best_correlation_null=0.2)
        write_table(path, "seed_nodes", epoch, frame)
    return Run(path)


def interval(value: float, without: list[float]) -> tuple[float, float]:
    count = len(without)
    half = student_t.ppf(0.975, count - 1) * np.sqrt(
        (count - 1) / count * np.sum((np.array(without) - np.mean(without)) ** 2)
    )
    return value - half, value + half


def test_the_mean_over_pairs_and_the_share_found_everywhere(run: Run) -> None:
    pairs = run.table("seed_pairs", [6]).query("layer == 1").assign(group=0)
    values = {(row.replicate, row.other_replicate): row.one_to_one for row in pairs.itertuples()}
    without = [np.mean([value for pair, value in values.items() if seed not in pair]) for seed in range(SEEDS)]
    mean = np.mean(list(values.values()))
    low, high = interval(mean, without)
    assert universality.pair_mean(pairs) == pytest.approx((mean, max(low, -1), min(high, 1)))

    nodes = run.table("seed_nodes", [6]).query("layer == 1").assign(group=0)
    best = {(row.replicate, row.other_replicate, row.node): row.best_correlation for row in nodes.itertuples()}

    def share(seeds: list[int]) -> float:
        found = [all(best[r, s, node] > 0.93 for s in seeds if s != r) for r in seeds for node in range(1, NODES + 1)]
        return float(np.mean(found))

    everyone = list(range(SEEDS))
    low, high = interval(share(everyone), [share([s for s in everyone if s != gone]) for gone in everyone])
    got = universality.found_in_every_seed(nodes, 0.93)
    assert got == pytest.approx((share(everyone), max(low, 0), min(high, 1)))
    assert 0 < got[0] < 1


def test_two_seeds_have_no_interval(run: Run) -> None:
    pairs = run.table("seed_pairs", [6]).query("layer == 1 and replicate == 0 and other_replicate == 1").assign(group=0)
    value, low, high = universality.pair_mean(pairs)
    assert value == pairs["one_to_one"].item()
    assert np.isnan([low, high]).all()


def test_every_layer_has_points_means_and_null_levels(run: Run, tmp_path: Path) -> None:
    figure = universality.draw([run])
    assert len(figure.axes) == 2 * LAYERS
    for layer, panel in enumerate(figure.axes[:LAYERS], start=1):
        assert panel.get_title() == f"layer {layer}"
        drawn = run.table("seed_pairs", [6]).query(f"layer == {layer}")["one_to_one"]
        np.testing.assert_allclose(panel.lines[0].get_ydata(), drawn)
        assert panel.get_xlabel() == "each setting"  # not the threshold of the panel below
    assert main(["universality", str(run.path), "--out", str(tmp_path / "u.png")]) == 0
    words = "pale: each pair of seeds; black: mean over 4 seeds; bars: 95 % interval (jackknife over seeds)"
    assert words in notes(figure).replace("\n", " ")


def test_a_figure_of_two_seeds_promises_no_interval(run: Run) -> None:
    tables = {name: run.table(name).query("replicate < 2 and other_replicate < 2") for name in universality.TABLES}
    said = notes(universality.draw([Run(run.path, tables=tables)])).replace("\n", " ")
    assert "black: mean over 2 seeds; no interval, which takes three seeds" in said
    assert "95 %" not in said


def test_replicates_of_other_settings_are_not_compared(run: Run) -> None:
    frame = run.table("seed_pairs", [6]).assign(group=[0, 1] * 6)

    class Group:
        def __init__(self, *seeds: int) -> None:
            self.seeds = dict.fromkeys(seeds, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(universality, "groups_of", lambda runs: [Group(0, 2), Group(1, 3)])
        kept = universality._within_groups(frame, [run])
    assert set(kept.query("group == 0")["other_replicate"]) <= {2}
    assert set(kept.query("group == 1")["other_replicate"]) <= {1, 3}


def test_a_run_without_the_records_says_how_to_get_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = fake_run(tmp_path / "runs/plain", 1, replicates=2)
    assert main(["universality", str(plain), "--out", str(tmp_path / "u.png")]) == 2
    assert "run it again with tsl.callbacks.SeedRecords under trainer.callbacks" in capsys.readouterr().err
