"""A run whose replicates differ in two settings is drawn like separate runs of each."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.animation import Animation
from matplotlib.axes import Axes

from tests.made_up_runs import fake_run
from tsl.figures import (
    alignment,
    best_correlation,
    certificate,
    convergence,
    heat_map,
    l_shape,
    l_shape_animation,
    sample_size,
    specialization_order,
    success_rate,
    trained_teacher,
    trajectories,
)
from tsl.figures.curves import collect
from tsl.runs import Run
from tsl.runs.records import COLUMNS, read_table, write_table
from tsl.runs.settings import POLARITY

STD = "model.init_args.student_initialization.init_args.std"
SETTINGS = [(polarity, std) for std in (0.1, 0.3) for polarity in (0.5, 2.0)]
REPLICATES = 2 * len(SETTINGS)
"""Replicate r has the settings SETTINGS[r % 4]."""


def config_of(path: Path, polarity: Any, std: Any, **changed: Any) -> None:
    """Write the settings into a run's config.yaml."""
    config = yaml.safe_load((path / "config.yaml").read_text())
    arguments = config["model"]["init_args"]
    arguments["teacher_initialization"]["init_args"]["polarity"] = polarity
    arguments["student_initialization"] = {"class_path": "tsl.networks.Gaussian", "init_args": {"std": std}}
    (path / "config.yaml").write_text(yaml.safe_dump(config | changed))


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with all tables, of two replicates of each of four settings."""
    teacher = {"class_path": "tsl.networks.Pretrained", "init_args": {"checkpoint": "unpruned.pt"}}
    polarity, std = ([setting[index] for setting in SETTINGS] for index in (0, 1))
    path = tmp_path_factory.mktemp("runs") / "runs/all"
    fake_run(path, polarity=polarity, replicates=REPLICATES, layers=2, pairs=True, max_epochs=4, teacher=teacher)
    config_of(path, polarity, std)
    rows = {"replicate": range(REPLICATES), "seed": range(REPLICATES), POLARITY: polarity * 2, STD: std * 2}
    write_table(path, "replicates", 0, pd.DataFrame(rows))
    random = np.random.default_rng(0)
    for epoch in range(5):
        more = {"accuracy": random.random(REPLICATES), "teacher_accuracy": 0.7}
        more |= {"train_size": np.arange(REPLICATES) // 4 + 7, "augmented_size": np.arange(REPLICATES) // 4 + 7}
        write_table(path, "losses", epoch, read_table(path, "losses", [epoch]).assign(**more))
        columns = dict.fromkeys(COLUMNS["certificate"], 1)
        frame = pd.DataFrame(columns | {"epoch": epoch, "replicate": np.repeat(range(REPLICATES), 2)})
        epsilons = {name: 10.0 ** random.normal(size=len(frame)) for name in ("granted_epsilon", "reached_epsilon")}
        frame = frame.assign(node=[1, 2] * REPLICATES, **epsilons)
        frame["condition"], frame["vacuous"] = frame["granted_epsilon"] < 1, frame["granted_epsilon"] >= 1
        frame["conclusion"] = frame["reached_epsilon"] <= frame["granted_epsilon"]
        write_table(path, "certificate", epoch, frame)
    return Run(path)


@pytest.fixture(scope="module")
def separate_runs(one_run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The same records as four runs, whose replicates differ in nothing but the seed."""
    runs = []
    for index, (polarity, std) in enumerate(SETTINGS):
        path = tmp_path_factory.mktemp("runs") / f"runs/{index}"
        path.mkdir(parents=True)
        (path / "config.yaml").write_text((one_run.path / "config.yaml").read_text())
        config_of(path, polarity, std, replicates=2)
        replicates = [index, index + len(SETTINGS)]
        write_table(path, "replicates", 0, pd.DataFrame({"replicate": replicates, "seed": replicates}))
        for table in COLUMNS:
            for epoch in one_run.recorded_epochs(table) if table not in ("replicates", "gradients") else ():
                frame = read_table(one_run.path, table, [epoch])
                write_table(path, table, epoch, frame[frame["replicate"].isin(replicates)])
        runs.append(Run(path))
    return runs


def drawn(panel: Axes) -> list[Any]:
    """The numbers of all that a panel shows."""
    lines = [np.asarray(line.get_xydata()).tolist() for line in panel.get_lines()]
    points = [np.ma.getdata(each.get_offsets()).tolist() for each in panel.collections]
    bands = [path.vertices.tolist() for each in panel.collections for path in each.get_paths()]  # type: ignore[attr-defined]
    return [lines, points, bands, [np.asarray(image.get_array()).tolist() for image in panel.images]]


def numbers(module: ModuleType, runs: list[Run]) -> list[Any]:
    """The numbers of every panel of a figure, and of the last frame of an animation."""
    figure = module.draw(runs)
    if isinstance(figure, Animation):
        figure._draw_was_started = True  # type: ignore[attr-defined]
        figure._init_draw()  # type: ignore[attr-defined]
        figure._draw_frame(2)  # type: ignore[attr-defined]
        figure = figure._fig  # type: ignore[attr-defined]
    return [drawn(panel) for panel in figure.axes]


FIGURES = [
    *(alignment, best_correlation, certificate, convergence, heat_map, l_shape, l_shape_animation, sample_size),
    *(specialization_order, success_rate, trained_teacher, trajectories),
]


@pytest.mark.parametrize("module", FIGURES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_it_is_drawn_like_separate_runs(one_run: Run, separate_runs: list[Run], module: ModuleType) -> None:
    found = numbers(module, [one_run])
    assert any(any(panel) for panel in found)
    np.testing.assert_equal(found, numbers(module, separate_runs))


def test_the_legend_says_the_setting(one_run: Run) -> None:
    figure = convergence.draw([one_run])
    assert [panel.get_title() for panel in figure.axes] == ["polarity $p = 0.5$", "polarity $p = 2$"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["2×, std = 0.1", "2×, std = 0.3"]
    assert "over 2 seeds" in figure.get_supxlabel()
    legend = [text.get_text() for text in alignment.draw([one_run]).legends[0].get_texts()]
    assert legend[0] == "2×, std = 0.1, polarity = 0.5"
    assert legend[-2:] == ["null level: untrained student", "null level: shuffled inputs"]
    assert len(legend) == 6


def test_figures_of_single_replicates_say_the_setting(one_run: Run) -> None:
    figure = trajectories.draw([one_run], replicates=[6])
    assert figure.axes[0].get_ylabel() == "seed 6\npolarity=0.5\nstd=0.3\n$\\rho_{jk}$"
    labels = [panel.get_ylabel() for panel in heat_map.draw([one_run]).axes if panel.get_ylabel().startswith("2×")]
    settings = [("0.1", 0), ("0.1", 1), ("0.3", 2), ("0.3", 3)]
    assert labels == [f"2×, std = {std}, epoch 4\nseed {seed}, teacher node $j$" for std, seed in settings]


def test_more_settings_than_a_legend_spells_out_between_runs_are_spelled_out_within_one(one_run: Run) -> None:
    """A name of the run would stand for all of them."""
    lr = "model.init_args.optimizer.init_args.lr"
    rows = one_run.replicates.assign(**{lr: np.arange(REPLICATES) // 4})
    frame = collect([Run(one_run.path, tables={"replicates": rows})], "losses")
    assert frame["curve"].nunique() == REPLICATES
    assert frame["curve"].cat.categories[0] == "2×, lr = 0, std = 0.1, polarity = 0.5"
