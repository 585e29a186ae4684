"""Which replicate of a grid has which settings and which seed, spelled out with loops."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsl.errors import InputError
from tsl.grid import count_replicates, expanded, seeds_of_run, with_full_names
from tsl.replicates import differing_settings, replicate_seeds

POLARITY = "model.init_args.teacher_initialization.init_args.polarity"
START_STD = "model.init_args.student_initialization.init_args.std"
INPUT_STD = "data.init_args.distribution.init_args.std"
LR = "model.init_args.optimizer.init_args.lr"
SIZE = "data.init_args.train_size"
NAMES = [POLARITY, START_STD, INPUT_STD, LR, SIZE]


def config(**settings: Any) -> dict[str, Any]:
    """The nested settings of a run."""
    return {
        "seed_everything": 5,
        "model": {
            "class_path": "tsl.modules.TeacherStudent",
            "init_args": {
                "teacher": {"class_path": "tsl.networks.MLP", "init_args": {"widths": [4]}},
                "teacher_initialization": {
                    "class_path": "tsl.networks.SeparableInitialization",
                    "init_args": {"polarity": 9, "bias": -0.1},
                },
                "student_initialization": {
                    "class_path": "tsl.networks.GaussianInitialization",
                    "init_args": {"std": 9},
                },
                "optimizer": {"class_path": "tsl.modules.SGD", "init_args": {"lr": 9, "momentum": 0.0}},
                "noise": 0.0,
            },
        },
        "data": {
            "class_path": "tsl.data.SyntheticDataModule",
            "init_args": {
                "distribution": {"class_path": "tsl.data.Gaussian", "init_args": {"std": 9}},
                "train_size": 9,
                "steps_per_epoch": 3,
            },
        },
    } | settings


axes = st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True)
grids = st.dictionaries(st.sampled_from(NAMES), axes, min_size=1, max_size=4)


@given(grid=grids, seeds=st.integers(1, 4) | st.none(), paired=st.booleans())
def test_every_combination_comes_once_with_every_seed(
    grid: dict[str, list[int]], seeds: int | None, paired: bool
) -> None:
    count = count_replicates(grid, seeds, 1)
    run = config(grid=grid, seeds=seeds, paired_seeds=paired, replicates=count)
    settings = expanded(run)
    found = differing_settings(settings, count)
    assert set(found) == {name for name, values in grid.items() if len(values) > 1}
    of_seed = replicate_seeds(seeds_of_run(run), count)
    combinations = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)] or [
        {}
    ] * count
    of_each = seeds or 1
    for r in range(count):
        assert combinations[r] == combinations[r // of_each * of_each]  # one combination after the other
        assert of_seed[r] == 5 + (r % of_each if paired else r)
    firsts = combinations[::of_each]
    assert all(firsts.count(combination) == 1 for combination in firsts)
    expected = 1
    for values in grid.values():
        expected *= len(values)
    assert len(firsts) == expected
    for name, values in grid.items():
        assert {combination.get(name, values[0]) for combination in firsts} == set(values)


@given(grid=grids)
def test_the_order_of_the_axes_does_not_matter(grid: dict[str, list[int]]) -> None:
    turned = dict(reversed(grid.items()))
    assert expanded(config(grid=grid, seeds=2)) | {"grid": 0} == expanded(config(grid=turned, seeds=2)) | {"grid": 0}


def test_an_example_in_full() -> None:
    run = config(grid={POLARITY: [0, 1], SIZE: [30, 60]}, seeds=2, replicates=8)
    init_args = expanded(run)["data"]["init_args"], expanded(run)["model"]["init_args"]["teacher_initialization"]
    assert init_args[0]["train_size"] == [30, 30, 30, 30, 60, 60, 60, 60]
    assert init_args[1]["init_args"]["polarity"] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert run["data"]["init_args"]["train_size"] == 9, "the config itself stays as it is written"


def test_a_single_value_is_no_list() -> None:
    settings = expanded(config(grid={POLARITY: [0.5]}, seeds=3, replicates=3))
    assert settings["model"]["init_args"]["teacher_initialization"]["init_args"]["polarity"] == 0.5


def test_a_config_without_a_grid_stays_as_it_is() -> None:
    assert expanded(config()) == config()
    assert expanded(config(grid=None, seeds=4, replicates=4)) == config(grid=None, seeds=4, replicates=4)
    assert seeds_of_run(config(seeds=4, replicates=4)) == 5


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("polarity", POLARITY),
        ("lr", LR),
        ("noise", "model.init_args.noise"),
        ("student_initialization.std", START_STD),
        ("distribution.init_args.std", INPUT_STD),
        ("data.distribution.std", INPUT_STD),
        (SIZE, SIZE),
    ],
)
def test_names_may_be_short(name: str, full: str) -> None:
    assert with_full_names({name: [1, 2]}, config()) == {full: [1, 2]}


def test_full_names_stay() -> None:
    grid = with_full_names({"polarity": [1, 2], "lr": [1]}, config())
    assert with_full_names(grid, config()) == grid


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"polarity": []}, ["grid.polarity has no values", "list at least one"]),
        ({"polarity": [1, 0.5, 1]}, ["grid.polarity lists 1 twice"]),
        ({"std": [1]}, ["grid.std may be", INPUT_STD, START_STD, "in full"]),
        ({"polarity": [1], POLARITY: [2]}, [f"two axes for {POLARITY}"]),
        ({"polarty": [1]}, ["grid.polarty: no setting", "did you mean polarity?", "tsl sweep"]),
        ({"xyz": [1]}, ["grid.xyz: no setting", "lr, noise, polarity, std, train_size"]),
        ({"widths": [[4], [5]]}, [f"{'model.init_args.teacher.init_args.widths'} cannot differ", "tsl sweep"]),
        ({"momentum": [0, 0.9]}, ["optimizer.init_args.momentum cannot differ", "tsl sweep"]),
        ({"teacher": [1]}, ["grid.teacher: model.init_args.teacher cannot differ"]),
    ],
)
def test_bad_axes_are_refused_with_a_remedy(grid: dict[str, list[Any]], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        with_full_names(grid, config())
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_rate_of_another_optimizer_names_the_one_that_can() -> None:
    run = config()
    run["model"]["init_args"]["optimizer"]["class_path"] = "torch.optim.SGD"
    with pytest.raises(InputError, match=r"take tsl\.modules\.SGD, which has a learning rate for each replicate"):
        with_full_names({"lr": [0.1, 0.2]}, run)


def test_sizes_need_a_number_of_steps_that_holds_for_all() -> None:
    run = config()
    run["data"]["init_args"]["steps_per_epoch"] = None
    assert with_full_names({"train_size": [30]}, run) == {SIZE: [30]}
    with pytest.raises(InputError, match=r"set data\.init_args\.steps_per_epoch"):
        with_full_names({"train_size": [30, 60]}, run)


def test_replicates_follow_from_grid_and_seeds() -> None:
    grid = {"a": [1, 2], "b": [1, 2, 3]}
    assert count_replicates({}, None, 7) == 7
    assert count_replicates({}, 4, 1) == 4
    assert count_replicates(grid, 4, 1) == count_replicates(grid, 4, 24) == 24
    assert count_replicates(grid, None, 1) == 6
    assert count_replicates(grid, 4, 5) == 24
