"""The pictures of a comparison, at the size at which they are saved."""

from itertools import product

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from tsl.compare import Comparison
from tsl.compare.figures import WORDS, draw_layers, draw_networks, draw_nodes

A, B = "an_experiment_with_a_long_name/version_10:teacher", "short"


def comparison(layers: int) -> Comparison:
    """Two networks with the same similarity of all layers."""
    names = [f"encoder.layers.{layer}.mlp" for layer in range(layers)]
    rows = [
        {"network_a": A, "network_b": B, "layer_a": a, "layer_b": b, "measure": measure, "value": 0.5}
        for a, b, measure in product(names, names, WORDS)
    ]
    return Comparison(pd.DataFrame(rows), {(A, B, names[0], names[0]): torch.full((3, 4), 0.5)}, inputs=10)


def assert_nothing_is_cut(figure: Figure) -> None:
    """All that is drawn lies in the figure, and names do not take the place of the picture."""
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()  # inches
    assert min(drawn.x0, drawn.y0) >= -0.01
    assert drawn.x1 <= figure.get_figwidth() + 0.01
    assert drawn.y1 <= figure.get_figheight() + 0.01
    assert min(figure.axes[0].get_window_extent().size) > 0.5 * figure.dpi


@pytest.mark.parametrize("layers", [1, 2, 12])
def test_layers_are_drawn_whole(layers: int) -> None:
    found = comparison(layers)
    for measure, words in WORDS.items():
        figure = draw_layers(found, measure, A, B)
        assert_nothing_is_cut(figure)
        assert figure.get_suptitle().replace("\n", " ") == words


def test_networks_and_nodes_are_drawn_whole() -> None:
    found = comparison(1)
    for measure in WORDS:
        assert_nothing_is_cut(draw_networks(found, measure))
    for pair in found.correlations:
        assert_nothing_is_cut(draw_nodes(found, pair))
