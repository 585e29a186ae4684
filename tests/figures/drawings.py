"""What a drawn figure says, for tests to read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsl.runs import Run


def loaded(paths: Sequence[Path]) -> list[Run]:
    return [Run(path) for path in paths]


def titles(figure: Figure) -> list[str]:
    return [panel.get_title() for panel in figure.axes]


def lines(panel: Axes, label: str) -> list[tuple[list[float], list[float]]]:
    found = [line for line in panel.get_lines() if line.get_label() == label]
    return [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in found]


def notes(figure: Figure) -> str:
    return figure.get_supxlabel()
