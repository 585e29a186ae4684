"""What is drawn, compared with the records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure, SubFigure

from tests.figures.drawings import lines, loaded, notes, titles
from tsl.errors import InputError
from tsl.figures import best_correlation, convergence, l_shape, l_shape_animation, success_rate, trajectories
from tsl.figures.style import LINE_STYLES, MARKERS, PALETTE, curve_style
from tsl.runs import Run
from tsl.runs.records import read_table

MakeRun = Callable[..., Path]


@pytest.fixture
def grid_of_runs(make_run: MakeRun) -> list[Path]:
    return [
        make_run(f"m{m}p{p:g}", multiplier=m, polarity=p, splits=("val", "train")) for m in (1, 2) for p in (0.0, 1.0)
    ]


def test_convergence_draws_mean_and_spread_of_logarithms(grid_of_runs: list[Path]):
    figure = convergence.draw(loaded(grid_of_runs))
    assert titles(figure) == ["polarity $p = 0$", "polarity $p = 1$"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1×", "2×"]
    table = read_table(grid_of_runs[3], "losses").pivot(index="epoch", columns="replicate", values="val_mse")
    logarithms = np.log10(table.to_numpy())  # (epochs, replicates)
    ((x, y),) = lines(figure.axes[1], "2×")
    assert x == list(range(7))
    np.testing.assert_allclose(y, logarithms.mean(1))
    band = figure.axes[1].collections[1].get_paths()[0].vertices
    spread = logarithms.std(1, ddof=1)
    np.testing.assert_allclose(band[band[:, 0] == 4][:, 1].min(), logarithms.mean(1)[4] - spread[4])
    np.testing.assert_allclose(band[band[:, 0] == 4][:, 1].max(), logarithms.mean(1)[4] + spread[4])
    assert notes(figure) == "mean ± standard deviation over 3 seeds"


@pytest.mark.parametrize("epochs", [3, 30])
def test_the_first_and_last_epochs_of_every_curve_are_marked(make_run: MakeRun, epochs: int):
    runs = loaded([make_run(f"m{m}", multiplier=m, max_epochs=epochs) for m in (1, 2, 3)])
    for line in convergence.draw(runs).axes[0].get_lines():
        places = np.diff(line.get_markevery())
        assert (line.get_markevery()[0], line.get_markevery()[-1]) == (0, epochs)
        assert len(set(places)) == 1  # as far from each other


def test_convergence_pools_runs_of_other_seeds(make_run: MakeRun):
    paths = [make_run("first", seed=0), make_run("second", seed=3)]
    figure = convergence.draw(loaded(paths))
    ((_, y),) = lines(figure.axes[0], "2×")
    losses = np.concatenate([read_table(path, "losses").query("epoch == 6")["val_mse"] for path in paths])
    assert y[-1] == pytest.approx(np.log10(losses).mean())


def test_convergence_of_one_seed_has_a_line(make_run: MakeRun):
    path = make_run(replicates=1)
    ((_, y),) = lines(convergence.draw(loaded([path])).axes[0], "2×")
    np.testing.assert_allclose(y, np.log10(read_table(path, "losses")["val_mse"]))


@pytest.mark.parametrize("loss", [0.0, 1e-30])
def test_losses_of_rounding_are_drawn_at_it(make_run: MakeRun, loss: float):
    path = make_run()
    losses = read_table(path, "losses")
    losses.loc[losses["epoch"] == 6, "val_mse"] = loss
    figure = convergence.draw([Run(path, tables={"losses": losses})])
    assert "losses below 1e-15 are rounding, and drawn there" in notes(figure)
    ((epochs, means),) = lines(figure.axes[0], "2×")
    assert epochs == list(range(7))
    assert means[-1] == pytest.approx(-15)
    assert "rounding" not in notes(convergence.draw(loaded([path])))


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_losses_without_a_logarithm_are_counted(make_run: MakeRun, loss: float):
    path = make_run()
    losses = read_table(path, "losses")
    losses.loc[losses["epoch"] == 6, "val_mse"] = loss
    figure = convergence.draw([Run(path, tables={"losses": losses})])
    assert "3 of 21 losses are not finite and left out" in notes(figure)
    assert lines(figure.axes[0], "2×")[0][0] == list(range(6))
    everything = Run(path, tables={"losses": losses.assign(val_mse=loss)})
    assert "21 of 21 losses" in notes(convergence.draw([everything]))


def test_success_rate_early_dotted_and_at_the_end_solid(grid_of_runs: list[Path]):
    figure = success_rate.draw(loaded(grid_of_runs), early_epoch=2)
    assert titles(figure) == ["polarity $p = 0$", "polarity $p = 1$"]
    table = read_table(grid_of_runs[3], "teacher_nodes").query("split == 'val'")
    drawn = [line for line in figure.axes[1].get_lines() if line.get_label() == "2×"]
    assert [line.get_linestyle() for line in drawn] == [":", "-"]
    for line, epoch in zip(drawn, (2, 6), strict=True):
        recovered = table[table["epoch"] == epoch].pivot(index="node", columns="replicate", values="recovered_0.95")
        assert list(line.get_xdata()) == [1, 2, 3, 4]
        np.testing.assert_allclose(line.get_ydata(), recovered.mean(axis=1))
    assert 0 < np.mean(drawn[1].get_ydata()) <= 1
    low, high = figure.axes[1].get_ylim()
    assert low < 0
    assert high > 1


def test_success_rate_is_of_evaluation_inputs(make_run: MakeRun):
    path = make_run(splits=("val", "train"))
    nodes = read_table(path, "teacher_nodes")
    nodes["recovered_0.95"] = nodes["split"] == "val"
    for line in success_rate.draw([Run(path, tables={"teacher_nodes": nodes})]).axes[0].get_lines():
        assert list(line.get_ydata()) == [1, 1, 1, 1]


def test_success_rate_notes_a_missing_epoch(make_run: MakeRun):
    paths = [make_run("whole", multiplier=1), make_run("sparse", epochs=[0, 6])]
    figure = success_rate.draw(loaded(paths))
    assert "epoch 5 is not in the records of 1 of 2 runs (runs/sparse)" in notes(figure).replace("\n", " ")
    assert len(lines(figure.axes[0], "1×")) == 2
    assert len(lines(figure.axes[0], "2×")) == 1
    figure = success_rate.draw(loaded(paths[1:]))
    assert [line.get_linestyle() for line in figure.axes[0].get_lines()] == ["-"]


def test_success_rate_of_a_deep_student_has_a_panel_per_layer(make_run: MakeRun):
    figure = success_rate.draw(loaded([make_run(layers=4)]))
    assert titles(figure) == [f"polarity $p = 1$, layer {layer}" for layer in (1, 2, 3, 4)]


def test_l_shape_has_a_point_for_each_student_node(grid_of_runs: list[Path]):
    figure = l_shape.draw(loaded(grid_of_runs))
    assert {panel.get_ylabel() for panel in figure.axes[::2]} == {r"strength $\|v_k\|$"}
    assert [panel.texts[0].get_text() for panel in figure.axes[1::2]] == ["1×", "2×"]  # beside the rows
    assert titles(figure)[:2] == ["polarity $p = 0$", "polarity $p = 1$"]
    points = read_table(grid_of_runs[3], "student_nodes").query("split == 'train' and epoch == 6")
    drawn = figure.axes[3].collections[0]
    np.testing.assert_array_equal(drawn.get_offsets(), points[["best_correlation", "strength"]])
    colors = np.asarray(drawn.get_array())  # one value per seed
    assert len(np.unique(colors)) == 3
    np.testing.assert_array_equal(colors, points["replicate"] + 1)
    assert "training inputs" in figure.axes[3].get_xlabel()


def test_l_shape_has_the_null_level_of_untrained_students(grid_of_runs: list[Path], make_run: MakeRun):
    panel = l_shape.draw(loaded(grid_of_runs)).axes[3]
    untrained = read_table(grid_of_runs[3], "student_nodes").query("split == 'train' and epoch == 0")
    (dotted,) = panel.get_lines()
    assert dotted.get_linestyle() == ":"
    assert dotted.get_xdata()[0] == pytest.approx(untrained["best_correlation"].mean())
    later = l_shape.draw(loaded([make_run(epochs=[3, 6])]))
    assert len(later.axes[0].get_lines()) == 0
    assert "untrained" not in notes(later)


def test_the_animated_l_shape_moves_the_points(make_run: MakeRun):
    path, late = make_run(layers=2, max_epochs=3), make_run("late", multiplier=1, layers=2, epochs=[0, 2], max_epochs=3)
    animation = l_shape_animation.draw(loaded([path, late]))
    animation._draw_was_started = True  # or matplotlib warns that nobody saved it
    assert list(animation.new_frame_seq()) == [0, 1, 2, 3, *[3] * l_shape_animation.HOLD]
    animation._init_draw()
    for epoch in (0, 1, 2, 3):
        animation._draw_frame(epoch)
        panels = animation._fig.axes
        assert animation._fig.get_suptitle() == f"epoch {epoch} of 3"
        for row, run, shown in ((1, path, epoch), (0, late, 2 if epoch >= 2 else 0)):
            for layer in (1, 2):
                points = read_table(run, "student_nodes").query(f"epoch == {shown} and layer == {layer}")
                offsets = panels[2 * row + layer - 1].collections[0].get_offsets()
                np.testing.assert_array_equal(offsets, points[["best_correlation", "strength"]])
                low, high = panels[2 * row + layer - 1].get_ylim()
                assert low <= points["strength"].min()
                assert high >= points["strength"].max()


def test_l_shape_of_evaluation_inputs_where_a_run_lacks_training_ones(make_run: MakeRun):
    paths = [make_run("both", splits=("val", "train")), make_run("val", multiplier=1)]
    figure = l_shape.draw(loaded(paths), epochs=[3])
    assert "evaluation inputs" in figure.axes[1].get_xlabel()
    points = read_table(paths[0], "student_nodes").query("split == 'val' and epoch == 3")
    offsets = figure.axes[1].collections[0].get_offsets()
    np.testing.assert_array_equal(offsets, points[["best_correlation", "strength"]])


def test_l_shape_of_a_deep_student_has_a_panel_per_layer(make_run: MakeRun):
    path = make_run(layers=3)
    figure = l_shape.draw(loaded([path]))
    assert titles(figure) == [f"polarity $p = 1$, layer {layer}" for layer in (1, 2, 3)]
    assert r"\beta_{kk}" in figure.axes[0].get_ylabel()
    assert figure.axes[2].collections[0].get_offsets().shape == (3 * 8, 2)


def test_l_shape_at_an_epoch_that_was_not_recorded(make_run: MakeRun):
    paths = [make_run("whole"), make_run("sparse", multiplier=1, epochs=[0, 6])]
    assert "epoch 3 is not in the records of 1 of 2 runs" in notes(l_shape.draw(loaded(paths), epochs=[3]))
    with pytest.raises(InputError, match=r"no run has records of epoch 9; recorded are \[0, 1, 2, 3, 4, 5, 6\]"):
        l_shape.draw(loaded(paths), epochs=[9])


def test_l_shape_of_several_epochs_has_a_row_per_layer_and_a_column_per_epoch(make_run: MakeRun):
    path = make_run(layers=2)
    figure = l_shape.draw(loaded([path]), epochs=[5, 0, 6])
    assert titles(figure) == ["epoch 5", "epoch 0", "epoch 6", "", "", ""]
    assert [panel.texts[0].get_text().split("\n") for panel in figure.axes[2::3]] == [
        ["2×", f"polarity $p = 1$, layer {layer}"] for layer in (1, 2)
    ]
    table = read_table(path, "student_nodes")
    for layer in (1, 2):
        for column, epoch in enumerate((5, 0, 6)):
            points = table.query(f"epoch == {epoch} and layer == {layer}")
            offsets = figure.axes[3 * (layer - 1) + column].collections[0].get_offsets()
            np.testing.assert_array_equal(offsets, points[["best_correlation", "strength"]])
            low, high = figure.axes[3 * (layer - 1) + column].get_ylim()
            assert low == 0
            assert high > points["strength"].max()


def test_l_shape_of_all_recorded_epochs(make_run: MakeRun):
    figure = l_shape.draw(loaded([make_run(epochs=[0, 2, 6])]), epochs=[])
    assert titles(figure) == ["epoch 0", "epoch 2", "epoch 6"]


def test_best_correlation_draws_mean_least_and_largest_over_nodes_and_seeds(make_run: MakeRun):
    paths = [make_run("one", multiplier=1, splits=("val", "train")), make_run("two", splits=("val", "train"))]
    figure = best_correlation.draw(loaded(paths))
    table = read_table(paths[1], "teacher_nodes").query("split == 'val'")
    by_epoch = [rows["best_correlation"].to_numpy() for _, rows in table.groupby("epoch")]
    ((x, y),) = lines(figure.axes[0], "2×")
    assert x == list(range(7))
    np.testing.assert_allclose(y, [values.mean() for values in by_epoch])
    band = figure.axes[0].collections[1].get_paths()[0].vertices
    at_four = band[band[:, 0] == 4][:, 1]
    np.testing.assert_allclose([at_four.min(), at_four.max()], [by_epoch[4].min(), by_epoch[4].max()])
    assert "3 seeds" in notes(figure)


def test_best_correlation_has_a_panel_per_layer(make_run: MakeRun):
    figure = best_correlation.draw(loaded([make_run(layers=3)]))
    assert titles(figure) == [f"polarity $p = 1$, layer {layer}" for layer in (1, 2, 3)]


def test_l_shape_clips_no_point(make_run: MakeRun):
    path = make_run()
    nodes = read_table(path, "student_nodes")
    nodes.loc[nodes["node"] == 1, "best_correlation"] = -0.4
    left, right = l_shape.draw([Run(path, tables={"student_nodes": nodes})]).axes[0].get_xlim()
    assert left <= -0.4
    assert right > 1


def test_trajectories_draw_every_pair(make_run: MakeRun):
    path = make_run(pairs=True, seed=5, splits=("val", "train"))
    figure = trajectories.draw(loaded([path]), replicates=[2, 0])
    assert titles(figure)[:4] == [f"teacher node $j = {j}$" for j in (1, 2, 3, 4)]
    assert [panel.get_ylabel().split("\n")[0] for panel in figure.axes[::4]] == ["seed 7", "seed 5"]
    table = read_table(path, "pairs").query("split == 'val'")
    for row, replicate in enumerate((2, 0)):
        for j in (1, 2, 3, 4):
            for k in range(1, 9):
                pair = table.query(f"replicate == {replicate} and teacher_node == {j} and student_node == {k}")
                drawn = lines(figure.axes[4 * row + j - 1], f"student node {k}")
                assert drawn == [(pair["epoch"].tolist(), pair["correlation"].tolist())]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"{k}" for k in range(1, 9)]


def test_trajectories_of_the_first_replicates_and_the_lowest_layer(make_run: MakeRun):
    path = make_run(pairs=True, replicates=4, layers=2, max_epochs=2)
    figure = trajectories.draw(loaded([path]))
    assert len(figure.axes) == 3 * 4
    assert len(lines(figure.axes[0], "student node 1")[0][0]) == 3
    assert "lowest layer" in notes(figure)


def test_trajectories_of_several_runs_are_numbered(make_run: MakeRun):
    paths = [make_run("first", pairs=True, replicates=1), make_run("second", pairs=True, replicates=1, multiplier=1)]
    figure = trajectories.draw(loaded(paths))
    assert figure.axes[4].get_ylabel().startswith("run 2, seed 0")
    assert "run 2: runs/second" in notes(figure)
    assert len(figure.axes[4].get_lines()) == 4


def test_trajectories_of_a_replicate_that_is_not_there(make_run: MakeRun):
    with pytest.raises(InputError, match=r"--replicates: .* has replicates 0 to 2, but \[3\] came: choose among those"):
        trajectories.draw(loaded([make_run(pairs=True)]), replicates=[0, 3])


def test_curves_differ_without_colour_too():
    styles = [curve_style(index) for index in range(len(PALETTE))]
    assert len({style["color"] for style in styles}) == len(PALETTE)
    assert len({style["marker"] for style in styles}) == len(MARKERS)
    without_colour = {(style["marker"], style["linestyle"]) for style in map(curve_style, range(28))}
    assert len(without_colour) == len(MARKERS) * len(LINE_STYLES)
    without_line = {(style["color"], style["marker"]) for style in map(curve_style, range(49))}
    assert len(without_line) == 49  # some figures use line styles for something else


def test_few_seeds_have_wilson_intervals(make_run: MakeRun):
    path = make_run(replicates=5)
    panel = success_rate.draw(loaded([path])).axes[0]
    table = read_table(path, "teacher_nodes").query("epoch == 6")
    found = table.groupby("node")["recovered_0.95"].sum().to_numpy()
    share, z = found / 5, 1.959963984540054
    middle = (share + z**2 / 10) / (1 + z**2 / 5)  # Wilson 1927
    half = z / (1 + z**2 / 5) * np.sqrt(share * (1 - share) / 5 + z**2 / 100)
    bars = np.array([segment[:, 1] for segment in panel.collections[-1].get_segments()])
    np.testing.assert_allclose(bars, np.column_stack([middle - half, middle + half]).clip(0, 1), atol=1e-12)


def test_many_seeds_have_none_and_the_legend_has_only_what_is_drawn(make_run: MakeRun):
    figure = success_rate.draw(loaded([make_run(replicates=30)]), early_epoch=99)
    assert not figure.axes[0].collections
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["2×", "last recorded epoch"]
    assert "Wilson" not in notes(figure)


def test_many_teacher_nodes_have_a_curve_each_with_their_best_student(make_run: MakeRun):
    path = make_run(pairs=True, replicates=2)
    whole = read_table(path, "pairs").query("layer == 1 and split == 'val'")
    drawn = trajectories._draw_best([(Run(path).groups[0], whole[whole["replicate"] == 1])], [], None)
    cells = whole[whole["replicate"] == 1].set_index(["epoch", "teacher_node", "student_node"])["correlation"].unstack()
    for node in sorted(whole["teacher_node"].unique()):
        best = cells.xs(node, level="teacher_node").loc[6].idxmax()
        ((x, y),) = lines(drawn.axes[0], f"teacher node {node}")
        assert x == list(range(7))
        np.testing.assert_allclose(y, cells.xs(node, level="teacher_node")[best])


def test_a_figure_is_drawn_into_a_part_of_another(make_run: MakeRun):
    runs = loaded([make_run()])
    whole = Figure(figsize=(7, 3), layout="constrained")
    left, right = whole.subfigures(1, 2)
    assert l_shape.draw(runs, figure=left) is left
    assert convergence.draw(runs, figure=right) is right
    whole.draw_without_rendering()
    assert tuple(whole.get_size_inches()) == (7, 3)
    assert (len(left.axes), len(right.axes), len(right.legends)) == (1, 1, 1)


def test_a_figure_is_drawn_in_the_place_of_axes(make_run: MakeRun):
    runs = loaded([make_run()])
    whole = Figure(figsize=(7, 3), layout="constrained")
    own, given = whole.subplots(1, 2)
    own.plot([0, 1])
    drawn = convergence.draw(runs, figure=given)
    whole.draw_without_rendering()
    assert isinstance(drawn, SubFigure)
    assert whole.axes == [own, *drawn.axes]
    assert drawn.axes[0].get_window_extent().x0 > own.get_window_extent().x1
    with pytest.raises(InputError, match="not in a grid"):
        convergence.draw(runs, figure=whole.add_axes((0, 0, 1, 1)))
