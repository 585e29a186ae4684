import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.compare import references
from tests.compare.networks import INPUTS, Twice, activations, convolutional, dense, permuted, value
from tsl.compare import NAMES, Comparison, compare, compare_many
from tsl.compare.blocks import blocks
from tsl.errors import InputError
from tsl.intervals import jackknife
from tsl.metrics import functional

IMAGES = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(dense(0).double(), dense(1, 9).double(), INPUTS.double())


@pytest.mark.parametrize("pair", [("1", "1"), ("1", "3"), ("3", "1"), ("3", "3")])
def test_every_measure_is_that_of_all_inputs_at_once(found: Comparison, pair: tuple[str, str]) -> None:
    networks = dense(0).double(), dense(1, 9).double()
    t, s = (activations(network, INPUTS.double())[layer] for network, layer in zip(networks, pair, strict=True))
    rho = references.correlation(t, s)
    tensors = torch.from_numpy(t), torch.from_numpy(s)
    narrow = torch.from_numpy(rho if len(rho) <= len(rho.T) else rho.T)
    expected = {
        "linear_cka": functional.linear_cka(*tensors),
        "debiased_linear_cka": functional.debiased_linear_cka(*tensors),
        "rho_mean_a": rho.max(axis=1).mean(),
        "rho_mean_b": rho.max(axis=0).mean(),
        "one_to_one": functional.one_to_one_mean(narrow),
        "soft_matching": functional.soft_matching(torch.from_numpy(rho)),
        "procrustes_similarity": functional.procrustes_similarity(*tensors),
        "cca": functional.cca(*tensors),
        "svcca": functional.svcca(*tensors),
        "linear_regression_r2_a": functional.linear_regression_r2(*tensors),
        "linear_regression_r2_b": functional.linear_regression_r2(*tensors, "student_from_teacher"),
    }
    assert {*expected, "minibatch_cka"} == set(NAMES)
    for measure, number in expected.items():
        assert value(found, measure, *pair) == pytest.approx(float(number), abs=1e-9), measure
    assert found.inputs == 205
    np.testing.assert_allclose(found.correlations[("a", "b", *pair)], rho, atol=1e-6)


def test_minibatch_cka_is_the_mean_over_blocks_of_unbiased_estimates(found: Comparison) -> None:
    t, s = dense(0), dense(1, 9)
    parts = [(activations(t, block)["1"], activations(s, block)["3"]) for block in blocks(INPUTS, 21)]
    assert [len(part[0]) for part in parts] == [21] * 9 + [16]
    assert value(found, "minibatch_cka", "1", "3") == pytest.approx(references.minibatch_cka(parts), abs=1e-5)


def test_a_mean_far_above_the_spread_changes_nothing() -> None:
    far = dense(0)
    last = nn.Sequential(far, nn.Identity())
    far[3] = nn.Identity()
    with torch.no_grad():
        far[2].bias.add_(1e4)
    near = compare(dense(0)[:3], dense(1), INPUTS.double(), layers={"a": ["2"], "b": ["3"]})
    shifted = compare(last.double(), dense(1), INPUTS.double(), layers={"a": ["0.2"], "b": ["3"]})
    np.testing.assert_allclose(near.layers["value"], shifted.layers["value"], atol=2e-4)


def test_itself_gives_exactly_1() -> None:
    for network, inputs in ((dense(0), INPUTS), (convolutional(0), IMAGES)):
        itself = compare(network, network, inputs).layers
        same = itself[itself["layer_a"] == itself["layer_b"]]
        assert (same[["value", "low", "high"]] == 1).all(axis=None)
        assert (same["null"] < 0.6).all()


def test_dead_nodes_are_counted_and_not_averaged_over() -> None:
    network = dense(0)
    with torch.no_grad():
        network[0].bias[2:4] = -100
    itself = compare(network, network, INPUTS)
    assert value(itself, "soft_matching", "1", "1") == value(itself, "one_to_one", "1", "1") == 1
    assert value(itself, "rho_mean_a", "1", "1", "constant_a") == 2
    with torch.no_grad():
        network[0].bias.fill_(-100)
    dead = compare(network, dense(1), INPUTS, layers={"a": ["1"], "b": ["1"]}).layers
    assert (dead["value"] == 0).all()


def test_a_permuted_and_rescaled_copy_matches_node_for_node() -> None:
    network = dense(0)
    copy = permuted(network, 5)
    result = compare(network, copy, INPUTS)
    for measure in ("rho_mean_a", "rho_mean_b", "one_to_one", "soft_matching", "cca"):
        assert value(result, measure, "1", "1") == pytest.approx(1, abs=1e-9)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(5))
    nodes = result.nodes("1", "1")
    of_copy = nodes[nodes["side"] == "b"]
    assert of_copy["best"].tolist() == of_copy["matched"].tolist() == (order + 1).tolist()
    assert nodes["mutual"].all()
    assert (nodes["matches_0.95"] >= 1).all()
    assert value(result, "one_to_one", "3", "3") == pytest.approx(1, abs=1e-9)
    assert result.closest() == [("1", "1"), ("3", "3")]


class Inputless(nn.Module):
    """Puts out noise that has nothing to do with its inputs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.act = nn.Tanh()

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.act(torch.randn(len(inputs), 6, generator=self.generator))
        return output


def test_unrelated_networks_give_the_null_level() -> None:
    rows = compare(Inputless(0), Inputless(100), torch.zeros(400, 1)).layers
    assert (rows["value"] - rows["null"]).abs().max() < 0.1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of the minibatch CKA of two unrelated layers, 0: in 95 of 100 draws, give or take 6 (2.75 standard errors)."""
    inside = 0
    for seed in range(100):
        unrelated = Inputless(seed), Inputless(seed + 100)
        row = compare(*unrelated, torch.zeros(200, 1), measures=["minibatch_cka"]).layers.iloc[0]
        inside += row["low"] <= 0 <= row["high"]
    assert inside >= 89


def test_an_interval_is_that_of_values_without_each_group() -> None:
    """The jackknife as it is defined, by comparing what is left; of 80 inputs every group is one block of 8."""
    x, networks = INPUTS[:80], (dense(0), dense(1))
    row = compare(*networks, [x], measures=["one_to_one"], layers=["1"]).layers.iloc[0]
    t, s = (torch.from_numpy(activations(network, x)["1"]).split(8) for network in networks)
    without = []
    for group in range(10):
        rest = [torch.cat([part for index, part in enumerate(parts) if index != group]) for parts in (t, s)]
        without.append(float(functional.one_to_one_mean(functional.node_correlation(*rest))))
    half = 2.262157 * np.sqrt(0.9 * np.square(np.array(without) - np.mean(without)).sum())
    assert row["low"] == pytest.approx(row["value"] - half, abs=1e-6)
    assert row["high"] == pytest.approx(min(row["value"] + half, 1), abs=1e-6)


def test_the_order_of_the_two_transposes_the_table(found: Comparison) -> None:
    back = compare(dense(1, 9), dense(0), INPUTS, names=("b", "a"))
    for measure in NAMES:
        pd.testing.assert_frame_equal(
            found.table(measure, "b", "a"), back.table(measure, "b", "a"), check_names=False, rtol=1e-5
        )


@pytest.mark.parametrize("size", [1, 7, 64, 205])
def test_the_size_of_batches_changes_nothing(size: int) -> None:
    """A DataLoader, a list and a generator of batches give the same."""
    networks = dense(0), dense(1)
    expected = compare(*networks, DataLoader(TensorDataset(INPUTS, INPUTS), batch_size=50)).layers
    of_loader = compare(*networks, DataLoader(TensorDataset(INPUTS, INPUTS), batch_size=size)).layers
    pd.testing.assert_frame_equal(of_loader, expected, rtol=1e-5)
    of_list = compare(*networks, INPUTS.split(size)).layers
    pd.testing.assert_frame_equal(of_list, expected, rtol=1e-5)

    def stream() -> Iterator[list[Tensor]]:
        for batch in INPUTS.split(size):
            yield [batch, batch]

    streamed = compare(*networks, stream()).layers  # of unknown length: blocks of 128
    nodes = expected["measure"] != "minibatch_cka"
    np.testing.assert_allclose(streamed.loc[nodes, "value"], expected.loc[nodes, "value"], rtol=1e-5)


def test_maps_of_two_sizes_and_vectors() -> None:
    network = convolutional(0)
    result = compare(network, convolutional(1), IMAGES)
    told = result.layers.set_index(["layer_a", "layer_b", "measure"])["samples_a"]
    assert told["2", "2", "rho_mean_a"] == "8×8 positions"
    assert told["2", "4", "rho_mean_a"] == "4×4 positions, averaged down from 8×8"
    assert told["4", "7", "rho_mean_a"] == "inputs, averaged over positions"
    assert told["7", "7", "rho_mean_a"] == "inputs"
    assert told["2", "4", "minibatch_cka"] == "inputs, flattened"
    t = torch.from_numpy(activations(network.eval(), IMAGES)["2"])
    s = torch.from_numpy(activations(convolutional(1).eval(), IMAGES)["4"])
    pooled = t.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))
    rho = functional.node_correlation(*map(functional.positions_as_samples, (pooled, s)))
    np.testing.assert_allclose(result.correlations["a", "b", "2", "4"], rho, atol=1e-6)
    flat = torch.from_numpy(activations(convolutional(1).eval(), IMAGES)["7"])
    rho = functional.node_correlation(t.mean(dim=(2, 3)), flat)
    np.testing.assert_allclose(result.correlations["a", "b", "2", "7"], rho, atol=1e-6)


def test_tokens_are_samples_and_their_last_axis_holds_the_nodes() -> None:
    torch.manual_seed(0)
    tokens = nn.Sequential(nn.Linear(6, 5), nn.GELU())
    channels = nn.Sequential(nn.Conv1d(9, 5, 1), nn.GELU())
    inputs = torch.randn(40, 9, 6)
    result = compare(tokens, channels, inputs)
    assert result.layers["samples_a"].iloc[-1] == "inputs, averaged over positions"  # 9 tokens against 6 positions
    with torch.no_grad():
        t, s = tokens(inputs).mean(dim=1), channels(inputs).mean(dim=2)
    np.testing.assert_allclose(result.correlations["a", "b", "1", "1"], functional.node_correlation(t, s), atol=1e-6)
    itself = compare(tokens, tokens, inputs)
    assert itself.layers["samples_a"].iloc[-1] == "9 tokens"
    with torch.no_grad():
        rho = functional.node_correlation(*[tokens(inputs).flatten(0, 1)] * 2)
    np.testing.assert_allclose(itself.correlations["a", "b", "1", "1"], rho, atol=1e-6)


def test_calls_in_place_activations_and_inputs_changed_in_place() -> None:
    network, inputs = Twice().train(), INPUTS.clone()
    result = compare(network, dense(0), inputs, layers={"a": ["relu", "upper"], "b": ["1"]}, measures=["rho_mean_a"])
    assert result.table("rho_mean_a").index.tolist() == ["relu#1", "upper", "relu#2"]
    torch.testing.assert_close(inputs, INPUTS)
    with torch.no_grad():
        raw = network.upper(network.lower(INPUTS - 1).relu()).double()
        other = dense(0)[:2](INPUTS).double()
    np.testing.assert_allclose(
        result.correlations["a", "b", "upper", "1"], functional.node_correlation(raw, other), atol=1e-6
    )
    assert network.training
    assert not network.relu._forward_hooks


def test_many_networks_give_a_table_of_networks() -> None:
    networks = {"one": dense(0), "copy": permuted(dense(0), 1), "other": dense(2)}
    result = compare_many(networks, INPUTS, measures=["one_to_one", "rho_mean_a", "rho_mean_b"])
    table = result.networks("one_to_one")
    assert table.index.tolist() == table.columns.tolist() == list(networks)
    np.testing.assert_allclose(table, table.T)
    assert table.loc["one", "copy"] == pytest.approx(1, abs=1e-6)
    assert table.loc["one", "other"] < 0.9
    forth, back = result.table("rho_mean_a", "one", "other"), result.table("rho_mean_b", "one", "other")
    expected = np.concatenate([forth.max(axis=1), back.max(axis=0)]).mean()
    assert result.networks("rho_mean_a").loc["one", "other"] == pytest.approx(expected)


def test_tables_are_kept_as_parquet(found: Comparison, tmp_path: Any) -> None:
    found.save(tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "layers.parquet"), found.layers)
    nodes = pd.read_parquet(tmp_path / "out" / "nodes.parquet")
    assert set(zip(nodes["layer_a"], nodes["layer_b"], strict=True)) == set(found.closest())


class Broken(nn.Module):
    def __init__(self, bad: float, rows: int = 1) -> None:
        super().__init__()
        self.act, self.bad, self.rows, self.idle = nn.ReLU(), bad, rows, nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.act(inputs + self.bad if len(inputs) > 2 else inputs)
        return output


@pytest.mark.parametrize(
    ("b", "settings", "message"),
    [
        (Broken(torch.nan), {}, "network b: layer act has NaN or infinite outputs"),
        (Broken(torch.inf), {}, "network b: layer act has NaN or infinite outputs"),
        (nn.Linear(4, 2), {}, r"network b: Linear cannot take inputs \[2, 5\] of type torch.float32: "),
        (nn.Linear(5, 2), {}, "network b: Linear has no activation that is a module"),
        (Broken(0), {"layers": {"b": ["idle"]}}, "network b: layers: idle never ran"),
        (Broken(0), {"layers": {"b": ["acd"]}}, "network b: layers: acd is no layer of Broken; nearest: act"),
        (Broken(0), {"layers": {"c": ["act"]}}, "layers: there is no network c; there are a, b"),
        (Broken(0), {"measures": ["ckaa"]}, "measures: there is no ckaa; nearest: .*cka"),
        (Broken(0), {"measures": []}, "measures: expected at least one of minibatch_cka"),
        (Broken(0), {"names": ("x", "x")}, "names: expected two different ones, got x twice"),
        (nn.Sequential(nn.Flatten(0), nn.ReLU()), {}, r"layer 1 cannot be watched: expected a tensor .* got \[10\]"),
    ],
)
def test_what_cannot_be_compared(b: nn.Module, settings: dict[str, Any], message: str) -> None:
    network = dense(0)
    with pytest.raises(InputError, match=message):
        compare(network, b, INPUTS, **settings)
    assert not any(module._forward_hooks for module in [*network.modules(), *b.modules()])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (INPUTS[:7], "expected at least 8, got 7"),
        (INPUTS[:0], r"expected a tensor \[N, …\] with N at least 8, got \[0, 5\]"),
        ([], "expected at least 8, got none"),
        (["text"], "expected batches that are tensors .* got str"),
    ],
)
def test_inputs_that_cannot_be_used(inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(dense(0), dense(1), inputs)


def test_other_refusals(found: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no svc of a and b; measured are minibatch_cka"):
        found.table("svc")
    with pytest.raises(InputError, match="there are no nodes of 1 in a and 9 in b: no such pair"):
        found.nodes("1", "9")
    with pytest.raises(InputError, match="expected at least two networks, got 1"):
        compare_many({"a": dense(0)}, INPUTS)
    changing = [INPUTS[:20], torch.zeros(20, 4)]
    with pytest.raises(InputError, match=r"expected inputs of one shape, got \[5\] and then \[4\]"):
        compare(dense(0), dense(1), changing)
    monkeypatch.setattr("tsl.compare.engine.memory", lambda: 1000)
    with pytest.raises(InputError, match=r"comparing the nodes of 4 pairs of layers needs .* GiB"):
        compare(dense(0), dense(1), INPUTS)
    only = compare(dense(0), dense(1), INPUTS, measures=["minibatch_cka"])
    with pytest.raises(InputError, match="measure one of linear_cka, "):
        only.nodes("1", "1")


def test_few_inputs_have_no_interval() -> None:
    row = compare(dense(0), dense(1), INPUTS[:8]).layers
    assert row[["low", "high"]].isna().all(axis=None)
    assert np.isnan(jackknife(0.5, [0.5], 0)).all()


def test_importing_it_loads_no_lightning_wandb_or_matplotlib() -> None:
    code = (
        "import sys, tsl.compare; print({'pytorch_lightning', 'lightning', 'wandb', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
