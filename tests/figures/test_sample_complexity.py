"""What the figure of tipping points draws, compared with what it was given."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsl.figures.sample_complexity import draw
from tsl.theory.tipping_point import Growth, TippingPoint

SIZES = [10, 100, 1000]
SHARES = {2.0: [0.1, 0.5, 0.9], 4.0: [0.0, 0.3, 0.8], 8.0: [0.0, 0.0, 0.1]}


def point(size: float, low: float, high: float) -> TippingPoint:
    return TippingPoint(size, low, high, np.full(10, size))


POINTS = {2.0: point(100, 50, 200), 4.0: point(300, 0, math.inf), 8.0: point(math.inf, 500, math.inf)}


@pytest.fixture
def shares() -> pd.DataFrame:
    """Two replicates 0.1 apart around each mean."""
    rows = [
        {"value": value, "train_size": size, "replicate": replicate, "share": mean + (-0.05, 0.05)[replicate]}
        for value, means in SHARES.items()
        for size, mean in zip(SIZES, means, strict=True)
        for replicate in range(2)
    ]
    return pd.DataFrame(rows)


def lines(panel: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))) for line in panel.get_lines()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_curve_for_each_value_with_its_tipping_point(shares: pd.DataFrame) -> None:
    figure = draw(shares, POINTS, 0.5, "d", Growth(1.0, 4.0, 0.1), {"theory": [1.0, 8.0, 64.0]})
    left, right = figure.axes
    curves = [ys for xs, ys in lines(left) if xs == SIZES]
    assert curves == [pytest.approx(means) for means in SHARES.values()]
    marked = [xs[0] for xs, _ in lines(left) if len(xs) == 2 and xs[0] == xs[1]]
    assert marked == [100, 300]  # that of 8 was not found
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in left.patches]  # type: ignore[attr-defined]
    assert spans == [(50, 200), (10, 1000)]  # open intervals end where the sizes do
    assert ([2.0], [100]) in lines(right)
    assert ([4.0], [300]) in lines(right)
    fitted, theory = [(xs, ys) for xs, ys in lines(right) if len(xs) > 1]
    assert fitted == ([2, 4], pytest.approx([2 * math.exp(4), 4 * math.exp(4)]))
    assert theory == ([2, 4, 8], [100, 800, 6400])  # from the first tipping point on
    assert legend(figure) == ["d = 2", "d = 4", "d = 8", "fit, exponent 1.00 ± 0.10", "theory"]
    notes = figure.get_supxlabel().replace("\n", " ")
    assert "of 2 replicates; N*: the size at which the curve crosses 50%" in notes
    assert "its constant is unknown" in notes


def test_standard_errors_over_replicates(shares: pd.DataFrame) -> None:
    panel = draw(shares, POINTS, 0.5, "d").axes[0]
    bars = panel.containers[0].lines[2][0].get_segments()  # type: ignore[attr-defined]
    heights = [upper[1] - lower[1] for lower, upper in bars]
    assert heights == pytest.approx([2 * 0.05] * 3)  # std 0.1 / √2, over √2, to either side


def test_a_single_curve_has_no_growth(shares: pd.DataFrame) -> None:
    single = shares[shares["value"] == 2].assign(value=math.nan)
    figure = draw(single, {math.nan: POINTS[2.0]}, 0.5)
    assert len(figure.axes) == 1
    assert legend(figure) == ["mean over replicates"]
    assert [ys for xs, ys in lines(figure.axes[0]) if xs == SIZES] == [pytest.approx(SHARES[2.0])]
