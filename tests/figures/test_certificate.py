"""What the figure of the certificate draws, compared with the records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from tsl.figures import certificate
from tsl.figures.__main__ import main
from tsl.runs import Run
from tsl.runs.records import COLUMNS, write_table

MakeRun = Callable[..., Path]
EPSILONS = ["granted_epsilon", "reached_epsilon"]


def rows(epoch: int, granted: list[float], reached: list[float], observed: bool = True) -> pd.DataFrame:
    """Two replicates of two teacher nodes."""
    columns: dict[str, Any] = dict.fromkeys(COLUMNS["certificate"], 1)
    columns |= {"epoch": epoch, "replicate": [0, 0, 1, 1], "node": [1, 2, 1, 2], "observed": observed}
    frame = pd.DataFrame(columns | {"granted_epsilon": granted, "reached_epsilon": reached})
    frame["condition"] = frame["granted_epsilon"] < 1
    frame["vacuous"] = frame["observed"] & ~frame["condition"]
    frame["conclusion"] = frame["reached_epsilon"] <= frame["granted_epsilon"]
    return frame


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    path = make_run(replicates=2, teacher_nodes=2, max_epochs=2)
    write_table(path, "certificate", 0, rows(0, [np.inf] * 4, [0.9] * 4, observed=False))
    write_table(path, "certificate", 1, rows(1, [300.0, 20.0, 10.0, 5.0], [0.5] * 4))
    write_table(path, "certificate", 2, rows(2, [1e-9, 2.0, 1e-3, 1e-4], [1e-12, 0.5, 0.1, 0.0]))
    return path


def points(panel: Axes, label: str) -> list[tuple[float, float]]:
    [line] = [line for line in panel.get_lines() if line.get_label() == label]
    return list(zip(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist(), strict=True))


def test_a_path_for_each_seed_and_a_mark_for_each_outcome(run: Path) -> None:
    figure = certificate.draw([Run(run)])
    first, second = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["teacher node $j = 1$", "teacher node $j = 2$"]
    assert {first.get_xscale(), first.get_yscale()} == {"log"}
    path = first.get_lines()[0]
    assert np.asarray(path.get_xydata()).tolist() == [[300.0, 0.5], [1e-9, 1e-12]]  # no student observed at epoch 0
    assert points(first, "certified") == [(1e-9, 1e-12)]
    assert points(first, "conclusion fails") == [(1e-3, 0.1)]
    assert points(second, "vacuous") == [(2.0, 0.5)]
    assert points(second, "certified") == [(1e-4, certificate.LEAST)]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["certified", "vacuous", "conclusion fails"]


def test_the_lines_of_condition_and_conclusion(run: Path) -> None:
    panel = certificate.draw([Run(run)]).axes[0]
    vacuous, diagonal = panel.get_lines()[-2:]
    assert vacuous.get_xdata() == [1.0, 1.0]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_the_notes_say_what_is_drawn_and_left_out(run: Path, make_run: MakeRun) -> None:
    loaded = Run(run)
    notes = certificate.draw([loaded]).get_supxlabel()
    assert "2 seeds, each from epoch 0 (grey) to 2 (marked)" in notes
    assert "4 of 12 points have no finite ε" in notes
    assert "an ε below 1e-17 is drawn at 1e-17" in notes
    wider = make_run("wider", multiplier=5, replicates=2, max_epochs=2)
    both = certificate.draw([loaded, Run(wider, tables={"certificate": loaded.table("certificate")})])
    nodes = [f"teacher node $j = {node}$" for node in (1, 2)]
    assert [panel.get_title() for panel in both.axes] == [
        f"{width}\n{node}" for width in ("2×", "5×") for node in nodes
    ]


def test_records_in_which_nothing_is_observed_are_drawn_empty(make_run: MakeRun) -> None:
    path = make_run(replicates=2)
    write_table(path, "certificate", 0, rows(0, [np.inf] * 4, [0.9] * 4, observed=False))
    figure = certificate.draw([Run(path)])
    assert "4 of 4 points have no finite ε" in figure.get_supxlabel()
    assert not figure.legends


def test_from_the_command_line(
    run: Path, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figure.png"
    assert main(["certificate", str(run), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert main(["certificate", str(make_run("without")), "--out", str(out)]) == 2
    assert (
        "has no records of 'certificate'; run it again with tsl.callbacks.CertificateRecords" in capsys.readouterr().err
    )
