"""Heat maps of a comparison: layers against layers, nodes against nodes, networks against networks."""

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from tsl.compare.comparison import Comparison
from tsl.figures.style import HEAT, PRINT, footnotes, node_ticks

WORDS = {
    "minibatch_cka": "minibatch CKA (debiased, flattened outputs)",
    "linear_cka": "linear CKA",
    "debiased_linear_cka": "debiased linear CKA",
    "rho_mean_a": "mean best correlation of the rows' nodes",
    "rho_mean_b": "mean best correlation of the columns' nodes",
    "one_to_one": "mean correlation, one-to-one matching",
    "soft_matching": "mean correlation, soft matching",
    "procrustes_similarity": "Procrustes similarity",
    "cca": "mean canonical correlation",
    "svcca": "SVCCA",
    "linear_regression_r2_a": "R², rows explained by columns",
    "linear_regression_r2_b": "R², columns explained by rows",
}

CHARACTERS = 14
"""The most characters of labels and titles in an inch."""


@mpl.rc_context(PRINT)
def draw_layers(comparison: Comparison, measure: str, network_a: str, network_b: str) -> Figure:
    """Draw one measure of all pairs of layers, with the layers of network a from top to bottom."""
    table = comparison.table(measure, network_a, network_b)
    return _matrix(
        table.to_numpy(), list(table.index), list(table.columns), f"layers of {network_a}", f"layers of {network_b}",
        WORDS[measure],
    )  # fmt: skip


@mpl.rc_context(PRINT)
def draw_networks(comparison: Comparison, measure: str) -> Figure:
    """Draw one measure of all pairs of networks."""
    table = comparison.networks(measure)
    names = list(table.index)
    label = f"{WORDS[measure]}: each layer's best, averaged over layers"
    return _matrix(table.to_numpy(), names, names, "", "", label)


@mpl.rc_context(PRINT)
def draw_nodes(comparison: Comparison, pair: tuple[str, str, str, str]) -> Figure:
    """Draw ρ_jk of one pair of layers: rows sorted by best correlation, columns in the order of their best partners."""
    rho = comparison.correlations[pair].numpy()
    rows = np.argsort(-rho.max(axis=1), kind="stable")
    rho = rho[rows]
    columns = np.lexsort((-rho.max(axis=0), rho.argmax(axis=0)))
    network_a, network_b, layer_a, layer_b = pair
    figure = Figure(figsize=(5.0, 4.2), layout="constrained")
    panel = figure.subplots()
    extent = (0.5, rho.shape[1] + 0.5, rho.shape[0] + 0.5, 0.5)
    image = panel.imshow(
        rho[:, columns], cmap=HEAT, vmin=-1, vmax=1, extent=extent, interpolation="none", aspect="auto"
    )
    panel.grid(visible=False)
    below, beside = f"nodes of {network_b}, {layer_b}", f"nodes of {network_a}, {layer_a}"
    panel.set(xlabel=_in_lines(below, 3.5), ylabel=_in_lines(beside, 3))
    panel.set_yticks(node_ticks(rho.shape[0]))
    panel.set_xticks(node_ticks(rho.shape[1]))
    figure.colorbar(image, ax=panel, label=r"$\rho_{jk}$")
    footnotes(
        figure, ["rows are sorted by best correlation, largest first; columns are in the order of their best partners"]
    )
    return figure


def _shortened(name: str) -> str:
    """The end of a long name.

    >>> _shortened("network.encoder.layers.encoder_layer_11.mlp.1")
    '…encoder.layers.encoder_layer_11.mlp.1'
    """
    return name if len(name) <= 38 else f"…{name[-37:]}"


def _in_lines(words: str, inches: float) -> str:
    """Words in lines that are no longer than so many inches of a figure."""
    return textwrap.fill(words, int(CHARACTERS * inches))


def _matrix(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], row_label: str, column_label: str, label: str
) -> Figure:
    rows, columns = ([_shortened(name) for name in names] for names in (rows, columns))
    beside, below = (0.055 * max(map(len, names)) for names in (rows, columns))  # inches for the names
    size = (min(2.3 + beside + 0.17 * len(columns), 14), min(1.5 + below + 0.17 * len(rows), 14))
    figure = Figure(figsize=size, layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(values, cmap=HEAT, vmin=-1, vmax=1, interpolation="none")
    panel.grid(visible=False)
    panel.set_xticks(range(len(columns)), labels=columns, rotation=90, fontsize=6)
    panel.set_yticks(range(len(rows)), labels=rows, fontsize=6)
    # Beside the whole figure, not the panel: the panel of a single layer is too small for them.
    figure.supxlabel(_in_lines(column_label, size[0]), fontsize=8)
    figure.supylabel(_in_lines(row_label, size[1]), fontsize=8)
    figure.suptitle(_in_lines(label, size[0]), fontsize=7.5)
    if values.size <= 100:
        for (j, k), value in np.ndenumerate(values):
            panel.text(k, j, f"{value:.2f}", ha="center", va="center", fontsize=5, color="w" if value > 0.6 else "k")
    bar = figure.colorbar(image, ax=panel, shrink=0.8, ticks=MultipleLocator(0.5))
    bar.ax.set_ylim(min(0.0, float(np.nanmin(values))), 1)
    return figure
