"""Compares networks: forward passes for every block of inputs, sums for every pair of layers, then measures."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from tsl.compare.blocks import GROUPS, Inputs, block_size, blocks, number_of_inputs, some_inputs
from tsl.compare.comparison import Comparison, Pair
from tsl.compare.grams import PairedGrams, centred_grams
from tsl.compare.measures import MEASURES, MINIBATCH, NAMES, Statistics, check_measures
from tsl.compare.sums import LayerSums, PairSums
from tsl.compare.views import Grid, Place, common_grid, nodes_of, samples_are
from tsl.compare.watched import WatchedNetwork
from tsl.errors import InputError
from tsl.intervals import jackknife

Layers = Sequence[str] | Mapping[str, Sequence[str]] | None


def compare(
    a: nn.Module,
    b: nn.Module,
    inputs: Inputs,
    *,
    layers: Layers = None,
    measures: Sequence[str] = NAMES,
    names: tuple[str, str] = ("a", "b"),
    progress: bool = False,
) -> Comparison:
    """Compare two networks, every layer with every layer and every node with every node.

    Args:
        a: The first network.
        b: The second network; it may be the same.
        inputs: A tensor `[N, …]`, a DataLoader, or any iterable of batches or of tuples that start with one; at least 8
            inputs. Batches are taken in their order, which should be random: if inputs of one class follow each other,
            intervals are too narrow, and null levels too high.
        layers: Names of layers, in which `*` matches anything, or such a list for each network by its name; every
            activation if None. If a module is called several times, each call is a layer (`relu#1`, `relu#2`).
        measures: Some of `tsl.compare.NAMES`.
        names: Names of the two networks.
        progress: Whether to show progress and the time left.

    Returns:
        The tables. Each value has its null level, from inputs of b that are exchanged within their block, and a 95 %
        interval over inputs (`tsl.intervals.jackknife`; NaN if inputs fill fewer than two blocks). Memory does not grow
        with the number of inputs, and results do not depend on the size of batches.

    Raises:
        InputError: If a network cannot take the inputs, a layer does not exist, did not run or is not finite, there
            are too few inputs, or the pairs need too much memory.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> found = compare(network, network, torch.randn(50, 4), measures=["one_to_one"])
        >>> found.table("one_to_one").loc["1", "1"].item()
        1.0
    """
    if names[0] == names[1]:
        raise InputError(f"names: expected two different ones, got {names[0]} twice")
    return compare_many(
        dict(zip(names, (a, b), strict=True)), inputs, layers=layers, measures=measures, progress=progress
    )


def compare_many(
    networks: Mapping[str, nn.Module],
    inputs: Inputs,
    *,
    layers: Layers = None,
    measures: Sequence[str] = NAMES,
    progress: bool = False,
) -> Comparison:
    """Compare every two of several networks, given by name; otherwise like `compare`.

    `Comparison.networks` returns one number for every two.
    """
    check_measures(measures)
    if len(networks) < 2:
        raise InputError(f"expected at least two networks, got {len(networks)}")
    if isinstance(layers, Mapping) and (unknown := set(layers) - set(networks)):
        raise InputError(f"layers: there is no network {', '.join(unknown)}; there are {', '.join(networks)}")
    few, inputs = some_inputs(inputs)
    watched: list[WatchedNetwork] = []
    try:
        for name, module in networks.items():
            patterns = layers.get(name) if isinstance(layers, Mapping) else layers
            watched.append(WatchedNetwork(name, module, patterns, few))
        columns = (
            *(TextColumn("{task.description}"), BarColumn()),
            *(MofNCompleteColumn(), TextColumn("left:"), TimeRemainingColumn()),
        )
        with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
            comparing = _Comparing(watched, measures)
            seen = comparing.take_in(inputs, bar)
            return comparing.compute(seen, bar)
    finally:
        for network in watched:
            network.close()


class _Comparing:
    """The sums over inputs for all pairs of layers of all pairs of networks."""

    def __init__(self, networks: Sequence[WatchedNetwork], measures: Sequence[str]) -> None:
        self.networks = networks
        self.measures = measures
        self.of_nodes = [name for name in measures if name != MINIBATCH]
        self.full = any(MEASURES[name].full for name in self.of_nodes)
        self.pairs = [
            (first, second, common_grid(first.grid, second.grid))
            for one, other in combinations(networks, 2)
            for first in one.places
            for second in other.places
        ]
        self.layer_sums: dict[tuple[Place, Grid], LayerSums] = {}
        self.pair_sums: dict[tuple[Place, Place], tuple[PairSums, PairSums]] = {}
        self.grams: dict[tuple[str, str], PairedGrams] = {}
        if self.of_nodes:
            self._check_memory()

    def take_in(self, inputs: Inputs, bar: Progress) -> int:
        """Run all networks on all inputs; returns their number."""
        count = number_of_inputs(inputs)
        numbers = sum(place.nodes * int(np.prod(place.grid)) for network in self.networks for place in network.places)
        task = bar.add_task("inputs", total=count)
        seen = 0
        for index, block in enumerate(blocks(inputs, block_size(count, numbers))):
            outputs = {network.name: network.outputs(block) for network in self.networks}
            if MINIBATCH in self.measures:
                self._add_grams(index % GROUPS, outputs)
            if self.of_nodes:
                self._add_nodes(index % GROUPS, outputs)
            seen += len(block)
            bar.update(task, completed=seen)
        return seen

    def compute(self, inputs: int, bar: Progress) -> Comparison:
        """Compute all measures of all pairs; the memory of each pair is freed afterwards."""
        task = bar.add_task("pairs of layers", total=len(self.pairs))
        rows: list[dict[str, object]] = []
        correlations: dict[Pair, Tensor] = {}
        minibatch = self._minibatch_rows() if self.grams else None
        for first, second, grid in self.pairs:
            place: Pair = (first.network, second.network, first.layer, second.layer)
            key = dict(zip(("network_a", "network_b", "layer_a", "layer_b"), place, strict=True))
            found = {} if minibatch is None else {MINIBATCH: next(minibatch)}
            if self.of_nodes:
                values, everything = self._measured(first, second, grid)
                found |= values
                correlations[place] = everything.correlation.float().cpu()
                constant = [int(nodes.sum()) for nodes in everything.constant]
            for name in self.measures:
                row = dict(zip(("value", "null", "low", "high"), found[name], strict=True))
                if name == MINIBATCH:
                    told: dict[str, object] = dict.fromkeys(("samples_a", "samples_b"), "inputs, flattened")
                    told |= dict.fromkeys(("constant_a", "constant_b"))
                else:
                    told = {"samples_a": samples_are(first, grid), "samples_b": samples_are(second, grid)}
                    told |= {"constant_a": constant[0], "constant_b": constant[1]}
                rows.append({**key, "measure": name, **row, **told})
            bar.advance(task)
        frame = pd.DataFrame(rows).astype({"constant_a": "Int64", "constant_b": "Int64"})
        return Comparison(frame, correlations, inputs)

    def _add_grams(self, group: int, outputs: Mapping[str, list[Tensor]]) -> None:
        grams = {name: centred_grams(values) for name, values in outputs.items()}
        for one, other in combinations(grams, 2):
            first, second = grams[one], grams[other].to(grams[one].device)
            if (one, other) not in self.grams:
                self.grams[one, other] = PairedGrams(len(first), len(second), first.device)
            self.grams[one, other].add(group, first, second)

    def _add_nodes(self, group: int, outputs: Mapping[str, list[Tensor]]) -> None:
        of_place = {
            place: values
            for network in self.networks
            for place, values in zip(network.places, outputs[network.name], strict=True)
        }
        device = next(iter(of_place.values())).device
        samples: dict[tuple[Place, Grid], Tensor] = {}  # [B, positions, nodes], minus the layer's shift
        for first, second, grid in self.pairs:
            for place in (first, second):
                if (place, grid) not in samples:
                    values = of_place[place]
                    resolution = torch.finfo(values.dtype).eps
                    nodes = nodes_of(values.to(device, copy=True), place, grid)
                    sums = self.layer_sums.setdefault((place, grid), LayerSums(self.full))
                    sums.add(group, nodes.flatten(0, 1), resolution)
                    samples[place, grid] = nodes
            t, s = samples[first, grid], samples[second, grid]
            pair, null = self.pair_sums.setdefault(
                (first, second), (PairSums(self.full, apart=True), PairSums(self.full, apart=False))
            )
            pair.add(group, t.flatten(0, 1), s.flatten(0, 1))
            null.add(group, t.flatten(0, 1), s.roll(len(s) // 2, dims=0).flatten(0, 1))

    def _measured(
        self, first: Place, second: Place, grid: Grid
    ) -> tuple[dict[str, tuple[float, float, float, float]], Statistics]:
        """Value, null level and interval of each measure of nodes, and the statistics they are computed from."""
        t, s = self.layer_sums[first, grid], self.layer_sums[second, grid]
        pair, null = self.pair_sums.pop((first, second))
        everything, exchanged = Statistics(t, s, pair), Statistics(t, s, null)
        groups = [group for group, count in enumerate(t.counts) if count]
        left_out = [Statistics(t, s, pair, group) for group in groups] if len(groups) > 1 else []
        found = {}
        for name in self.of_nodes:
            measure = MEASURES[name]
            value = float(measure.value(everything))
            without = [float(measure.value(statistics)) for statistics in left_out]
            found[name] = (value, float(measure.value(exchanged)), *jackknife(value, without, measure.least))
        return found, everything

    def _minibatch_rows(self) -> Iterator[tuple[float, float, float, float]]:
        """Value, null level and interval of minibatch CKA, in the order of the pairs."""
        for paired in self.grams.values():
            groups = [group for group in range(GROUPS) if paired.first[group].any() or paired.second[group].any()]
            values, null = paired.values().cpu().numpy(), paired.values(null=True).cpu().numpy()
            without = np.array([paired.values(group).cpu().numpy() for group in groups]).reshape(-1, *values.shape)
            for j, k in np.ndindex(values.shape):
                yield (
                    float(values[j, k]),
                    float(null[j, k]),
                    *jackknife(float(values[j, k]), without[:, j, k].tolist(), -1),
                )

    def _check_memory(self) -> None:
        """Refuse a comparison that would need more than half of the machine's memory.

        Raises:
            InputError: If it would; the message states how much, and what to leave out.
        """
        squares = {(place, grid): place.nodes**2 for first, second, grid in self.pairs for place in (first, second)}
        numbers = sum(first.nodes * second.nodes for first, second, _ in self.pairs)
        bytes_of_sums = (8 + 4 * GROUPS) * (numbers + self.full * sum(squares.values())) + 12 * numbers
        if bytes_of_sums > memory() // 2:
            raise InputError(
                f"comparing the nodes of {len(self.pairs)} pairs of layers needs {bytes_of_sums / 2**30:.1f} GiB, more "
                f"than half of this machine's memory: name fewer layers, or measure {MINIBATCH} alone"
            )


def memory() -> int:
    """The machine's memory in bytes; 16 GiB if it is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**34
