from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tsl.errors import InputError
from tsl.figures.curves import collect, missing_epoch, other_differences, seeds_in_words, unfinished
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, POLARITY

MakeRun = Callable[..., Path]


def test_settings_that_do_not_matter_are_no_differences(make_run: MakeRun):
    runs = [
        Run(make_run("first")),
        Run(make_run("second", multiplier=5, polarity=2.0, seed=3, replicates=2)),
    ]
    runs[0].config["records"] = {"pairs": True}
    runs[0].config["trainer"] |= {"logger": {"class_path": "WandbLogger"}, "accelerator": "gpu"}
    assert other_differences(runs) == {}


def test_other_differences_are_listed_and_name_the_curves(make_run: MakeRun):
    runs = [
        Run(make_run("first", learning_rate=0.01)),
        Run(make_run("second", learning_rate=0.1)),
        Run(make_run("third", multiplier=1)),
    ]
    assert other_differences(runs) == {"model.init_args.learning_rate": [0.01, 0.1, None]}
    names = ["1×, learning_rate = none", "2×, learning_rate = 0.01", "2×, learning_rate = 0.1"]
    assert list(collect(runs, "losses")["curve"].cat.categories) == names


def test_many_differences_name_the_curve_by_its_run(make_run: MakeRun):
    settings = {"learning_rate": 0.1, "momentum": 0.9, "loss": "mse"}
    runs = [Run(make_run("plain")), Run(make_run("other", **settings))]
    assert set(collect(runs, "losses")["curve"]) == {"2×, runs/plain", "2×, runs/other"}


def test_curves_are_sorted_by_multiplier_not_by_spelling(make_run: MakeRun):
    runs = [Run(make_run(f"{m}", multiplier=m, max_epochs=1)) for m in (10, 2, 1.5)]
    assert list(collect(runs, "losses")["curve"].cat.categories) == ["1.5×", "2×", "10×"]


def test_a_list_of_polarities_splits_replicates(make_run: MakeRun):
    frame = collect([Run(make_run(polarity=[0.0, 2.0, 2.0], seed=7))], "losses", [POLARITY])
    assert frame.groupby("polarity")["seed"].unique().map(list).to_dict() == {0.0: [7], 2.0: [8, 9]}
    assert seeds_in_words(frame) == "1 to 2 seeds"


def test_a_list_of_polarities_repeats_along_the_replicates(make_run: MakeRun):
    frame = collect([Run(make_run(polarity=[0.0, 2.0], replicates=4))], "losses", [POLARITY])
    assert (frame["polarity"] == 2.0 * (frame["replicate"] % 2)).all()


def test_classes_that_differ_name_the_curves_without_their_arguments(make_run: MakeRun):
    kinds = {"class_path": "tsl.Some", "init_args": {"step": 1}}, {"class_path": "tsl.Other", "init_args": {"low": 2}}
    runs = [make_run("none"), *(make_run(f"run{i}", augmentation=kind) for i, kind in enumerate(kinds))]
    frame = collect([Run(run) for run in runs], "losses")
    assert set(frame["curve"].cat.categories) == {"2×, no augmentation", "2×, Some", "2×, Other"}


def test_arguments_tell_runs_of_the_same_class_apart_beside_another_class(make_run: MakeRun):
    """As E10's plain SGD, SGD with momentum, and Adam."""
    kinds = (("SGD", {"momentum": 0}), ("SGD", {"momentum": 0.9}), ("Adam", {"betas": [0.9, 0.999]}))
    runs = [Run(make_run(f"run{index}")) for index in range(len(kinds))]
    for run, (name, arguments) in zip(runs, kinds, strict=True):
        run.config["model"]["init_args"]["optimizer"] = {"class_path": f"torch.optim.{name}", "init_args": arguments}
    assert collect(runs, "losses")["curve"].nunique() == len(kinds)


def test_epochs_that_follow_from_a_budget_tell_no_curves_apart(make_run: MakeRun):
    runs = [Run(make_run(f"run{epochs}", max_epochs=epochs)) for epochs in (3, 5)]
    assert list(other_differences(runs)) == ["trainer.max_epochs"]
    of_a_budget = [Run(run.path, config=run.config | {"total_samples": 1000}) for run in runs]
    assert other_differences(of_a_budget) == {}


def test_settings_that_the_figure_arranges_tell_no_curves_apart(make_run: MakeRun):
    runs = [Run(make_run(f"m{m}w{w}", multiplier=m, width=w)) for m in (1, 2) for w in (5, 6)]
    frame = collect(runs, "losses", arranged=(MULTIPLIER, "model.init_args.width"))
    assert len(frame["curve"].cat.categories) == 1
    with pytest.raises(InputError, match="have the same replicate"):
        collect([*runs, runs[0]], "losses", arranged=(MULTIPLIER, "model.init_args.width"))


def test_runs_of_other_seeds_are_more_replicates(make_run: MakeRun):
    runs = [Run(make_run("first", seed=0)), Run(make_run("second", seed=3))]
    frame = collect(runs, "losses")
    assert list(frame["curve"].cat.categories) == ["2×"]
    assert set(frame["seed"]) == set(range(6))
    assert seeds_in_words(frame) == "6 seeds"


def test_the_same_replicate_twice_is_refused(make_run: MakeRun):
    runs = [Run(make_run("first", seed=0)), Run(make_run("second", seed=2))]
    with pytest.raises(InputError, match=r"runs/first and .*runs/second have the same replicate \(2×, seed 2\)"):
        collect(runs, "losses")
    collect([Run(make_run("third", learning_rate=0.1)), runs[0]], "losses")  # another setting, another curve


def test_the_curves_of_frozen_replicates_say_that_they_diverged(make_run: MakeRun):
    """As a run of three learning rates, one of which is too large; other runs do not have the column."""
    plain, run = Run(make_run("plain")), Run(make_run("rates"))
    columns = {"model.init_args.lr": [0.1, 0.2, 0.2], "diverged": [False, False, True]}
    rates = Run(run.path, tables={"replicates": run.replicates.assign(**columns)})
    names = ["2×, diverged, lr = 0.2", "2×, lr = 0.1", "2×, lr = 0.2", "2×, lr = none"]
    assert sorted(collect([plain, rates], "losses")["curve"].cat.categories) == names
    frozen = Run(run.path, tables={"replicates": run.replicates.assign(diverged=[False, False, True])})
    assert set(collect([frozen], "losses")["curve"]) == {"2×", "2×, diverged"}


def test_runs_that_lack_an_epoch_are_noted_together(make_run: MakeRun):
    runs = [Run(make_run(name, epochs=[0, 6])) for name in "abcd"]
    assert missing_epoch(runs, "losses", 6) == []
    whole = Run(make_run("whole"))
    note = "epoch 5 is not in the records of 4 of 5 runs (runs/a, runs/b, runs/c, …)"
    assert missing_epoch([whole, *runs], "losses", 5) == [note]


def test_a_teacher_without_polarity(make_run: MakeRun):
    run = Run(make_run())
    del run.config["model"]["init_args"]["teacher_initialization"]
    frame = collect([run], "losses")
    assert np.isnan(frame["polarity"]).all()
    assert seeds_in_words(frame) == "3 seeds"


@pytest.mark.parametrize("setting", ["multiplier", "seed_everything"])
def test_a_setting_that_is_no_number(make_run: MakeRun, setting: str):
    run = Run(make_run())
    of_student = run.config["model"]["init_args"]["student"]["init_args"]
    (run.config if setting == "seed_everything" else of_student)[setting] = "two"
    with pytest.raises(InputError, match=f"{setting} in config.yaml is 'two'; expected a number"):
        collect([run], "losses")


def test_no_runs():
    with pytest.raises(InputError, match="no runs"):
        collect([], "losses")


def test_a_run_that_was_stopped_is_noted(make_run: MakeRun):
    runs = [Run(make_run("whole")), Run(make_run("stopped", epochs=[0, 4]))]
    assert unfinished(runs, "losses") == ["runs/stopped: records end at epoch 4 of 6"]
