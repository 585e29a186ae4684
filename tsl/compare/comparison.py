"""The results of a comparison, as tidy tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tsl.compare.measures import NAMES, swapped
from tsl.errors import InputError
from tsl.metrics.functional.best_correlation import best_correlation
from tsl.metrics.functional.one_to_one import one_to_one

MATCHED = 0.95

Pair = tuple[str, str, str, str]
"""Network a, network b, layer of a, layer of b."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The results of comparing networks with each other.

    Attributes:
        layers: A row for each pair of networks, pair of their layers, and measure: network_a, network_b, layer_a,
            layer_b, measure, value, null, low, high, samples_a, samples_b, constant_a and constant_b. `null` is the
            measure with the inputs of network b exchanged; low and high are a 95 % interval over inputs; samples_a and
            samples_b describe what a sample is; constant_a and constant_b are the numbers of nodes that never change
            (dead nodes), which are left out of means (missing for minibatch CKA).
        correlations: ρ_jk of nodes, `[m, n]` float32, by network a, network b, layer a, layer b; empty if no measure of
            single nodes was computed.
        inputs: Number of inputs.
    """

    layers: pd.DataFrame
    correlations: Mapping[Pair, Tensor]
    inputs: int

    def table(self, measure: str, network_a: str | None = None, network_b: str | None = None) -> pd.DataFrame:
        """One measure's values, with a row for each layer of network a and a column for each layer of b.

        Args:
            measure: Name of the measure.
            network_a: Name of the first network; the first pair's if None. The two may come in either order.
            network_b: Name of the second network.

        Raises:
            InputError: If there is no such pair, or the measure was not computed.
        """
        first = self.layers.iloc[0]
        a, b = network_a or first["network_a"], network_b or first["network_b"]
        frame = self.layers
        rows = frame[(frame["network_a"] == a) & (frame["network_b"] == b) & (frame["measure"] == measure)]
        if rows.empty and a != b and not frame[(frame["network_a"] == b) & (frame["network_b"] == a)].empty:
            return self.table(swapped(measure), b, a).T
        if rows.empty:
            raise InputError(
                f"there is no {measure} of {a} and {b}; measured are {', '.join(frame['measure'].unique())} of "
                f"{', '.join(dict.fromkeys([*frame['network_a'], *frame['network_b']]))}"
            )
        order_a, order_b = rows["layer_a"].unique(), rows["layer_b"].unique()
        return rows.pivot(index="layer_a", columns="layer_b", values="value").loc[order_a, order_b]

    def networks(self, measure: str) -> pd.DataFrame:
        """One number for every two networks: each layer's best value in the other network, averaged over layers.

        The layers of both networks count, so the table is symmetric; 1 on its diagonal.
        """
        names = list(dict.fromkeys([*self.layers["network_a"], *self.layers["network_b"]]))
        result = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
        for a, b in self._pairs():
            forth, back = self.table(measure, a, b), self.table(swapped(measure), a, b)
            best = np.concatenate([forth.max(axis=1), back.max(axis=0)]).mean()
            result.loc[a, b] = result.loc[b, a] = best
        return result

    def nodes(
        self, layer_a: str, layer_b: str, network_a: str | None = None, network_b: str | None = None
    ) -> pd.DataFrame:
        """The nodes of both layers of a pair, with their partners in the other layer.

        Args:
            layer_a: Layer of network a.
            layer_b: Layer of network b.
            network_a: As in `table`.
            network_b: As in `table`.

        Returns:
            A row for each node, counted from 1: network_a, network_b, layer_a, layer_b, side (a or b: the network of
            the node), node, best (its best partner in the other layer), correlation, mutual (whether it is also its
            partner's best), matched (its partner in the one-to-one matching, 0 if none), matched_correlation, and
            matches_0.95 (number of partners with a correlation above 0.95).

        Raises:
            InputError: If there is no such pair, or no measure of single nodes was computed.
        """
        first = self.layers.iloc[0]
        key = network_a or first["network_a"], network_b or first["network_b"], layer_a, layer_b
        if key not in self.correlations:
            why = "no such pair of layers" if self.correlations else f"measure one of {', '.join(NAMES[1:])} too"
            raise InputError(f"there are no nodes of {layer_a} in {key[0]} and {layer_b} in {key[1]}: {why}")
        correlation = self.correlations[key].double()
        sides = [_side("a", correlation), _side("b", correlation.mT)]
        frame = pd.concat(sides, ignore_index=True)
        for position, (column, value) in enumerate(
            zip(("network_a", "network_b", "layer_a", "layer_b"), key, strict=True)
        ):
            frame.insert(position, column, value)
        return frame

    def closest(self, network_a: str | None = None, network_b: str | None = None) -> list[tuple[str, str]]:
        """For each layer of network a, the layer of b whose nodes are most similar to its own.

        Similarity is the mean of ρ_mean in both directions.
        """
        first = self.layers.iloc[0]
        a, b = network_a or first["network_a"], network_b or first["network_b"]
        found: dict[str, tuple[float, str]] = {}
        for (one, other, layer_a, layer_b), correlation in self.correlations.items():
            if (one, other) == (a, b):
                value = float(correlation.amax(dim=0).mean() + correlation.amax(dim=1).mean())
                found[layer_a] = max(found.get(layer_a, (-3.0, "")), (value, layer_b), key=lambda pair: pair[0])
        return [(layer_a, layer_b) for layer_a, (_, layer_b) in found.items()]

    def save(self, folder: Path | str) -> None:
        """Write `layers.parquet`, and `nodes.parquet` of the `closest` pairs if nodes were measured."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.layers.to_parquet(folder / "layers.parquet", index=False)
        if self.correlations:
            self.nodes_of_closest().to_parquet(folder / "nodes.parquet", index=False)

    def nodes_of_closest(self) -> pd.DataFrame:
        """`nodes` of the `closest` pairs of layers of all networks."""
        return pd.concat(
            [self.nodes(*layers, *names) for names in self._pairs() for layers in self.closest(*names)],
            ignore_index=True,
        )

    def _pairs(self) -> list[tuple[str, str]]:
        """The pairs of networks."""
        return list(dict.fromkeys(zip(self.layers["network_a"], self.layers["network_b"], strict=True)))


def _side(side: str, correlation: Tensor) -> pd.DataFrame:
    """A table with a row for each node in the rows of `[m, n]`."""
    best, matched = best_correlation(correlation), one_to_one(correlation)
    nodes = torch.arange(len(correlation), device=correlation.device)
    columns = {
        "node": nodes + 1,
        "best": best.best_student + 1,
        "correlation": best.teacher_correlation,
        "mutual": best.best_teacher[best.best_student] == nodes,
        "matched": matched.student + 1,
        "matched_correlation": matched.correlation,
        f"matches_{MATCHED}": (correlation > MATCHED).sum(dim=1),
    }
    frame = pd.DataFrame({name: values.numpy(force=True) for name, values in columns.items()})
    frame.insert(0, "side", side)
    return frame
