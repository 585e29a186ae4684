import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tsl.errors import InputError
from tsl.experiments import outcomes, reproduce
from tsl.runs import Run
from tsl.runs.records import COLUMNS, read_table, write_table

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Any]:
    """The runs of E2 with the tiny overlay, by default those of polarity 1 and multipliers 1 and 2."""

    def plan(*where: str, scale: str = "quick") -> Any:
        e2 = reproduce.EXPERIMENTS["E2"]
        axes = reproduce.chosen_axes(e2, scale, where or ("polarity=1", "multiplier=1,2"))
        return reproduce.plan(e2, scale, axes, tmp_path, [TINY])

    return plan


def fake(run: Any, epochs: int = 2, **settings: Any) -> None:
    """Write a run of 2 replicates, 4 teacher nodes and no training; `settings` differ from those of `run`."""
    run.path.mkdir(parents=True)
    (run.path / "config.yaml").write_text(yaml.safe_dump(run.settings | settings))
    for epoch in range(epochs + 1):
        losses = pd.DataFrame(dict.fromkeys(COLUMNS["losses"], 0.1), index=range(2))
        write_table(run.path, "losses", epoch, losses.assign(epoch=epoch, replicate=range(2), val_mse=[1e-3, 1e-5]))
        nodes = pd.DataFrame(dict.fromkeys(COLUMNS["teacher_nodes"], 0.5), index=range(8))
        nodes = nodes.assign(epoch=epoch, split="val", layer=1, node=[1, 2, 3, 4] * 2, replicate=np.arange(8) // 4)
        recovered = [epoch == 2 and node < 7 for node in range(8)]
        write_table(run.path, "teacher_nodes", epoch, nodes.assign(**{"recovered_0.95": recovered, "best_student": 1}))
        students = pd.DataFrame(dict.fromkeys(COLUMNS["student_nodes"], 0.5), index=range(2))
        students = students.assign(epoch=epoch, split="val", layer=1, node=1, replicate=range(2), best_teacher=1)
        write_table(run.path, "student_nodes", epoch, students)


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every child process fail at once, with a word in its log."""
    failing = [sys.executable, "-c", "import sys; print('\\n'.join(map(str, range(99)))); sys.exit('[boom]')"]
    monkeypatch.setattr(reproduce.PlannedRun, "command", lambda run: failing)
    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(0.01))


def test_the_cells_are_the_combinations_of_the_axes() -> None:
    counts = {
        name: np.prod([len(values) for values in reproduce.chosen_axes(experiment, "paper", []).values()])
        for name, experiment in reproduce.EXPERIMENTS.items()
    }
    theory = {"T1": 6, "T1-size": 3, "T2": 12, "T3": 2, "T4": 3}
    samples = {"theorem-d": 15, "theorem-m": 12, "theorem-n": 12}
    deep = {
        "E6": 9,
        "E6-widths": 6,
        "E6-cross_entropy": 3,
        "E6-unscaled": 2,
        "E7": 2,
        "E8": 6,
        "E9": 20,
        "E10": 9,
        "E10-rates": 10,
        "E10-noise": 1,
    }
    e5 = {"E5": 12, "E5-rademacher": 12, "E5-low_dimensional": 12}
    assert counts == {
        "E1": 12,
        "E2": 20,
        "E3": 24,
        "E4": 1,
        "E2-gradient": 24,
        "E2-fine": 12,
        **e5,
        **deep,
        **samples,
        **theory,
    }


def test_a_budget_in_samples_gives_every_cell_its_epochs(tmp_path: Path) -> None:
    e6 = reproduce.EXPERIMENTS["E6"]
    axes = reproduce.chosen_axes(e6, "paper", ["train_size=5000,2000000", "multiplier=2"])
    runs = reproduce.plan(e6, "paper", axes, tmp_path, [])
    assert [run.epochs for run in runs] == [4000, 10]
    assert [run.arguments[run.arguments.index("--data.init_args.train_size") + 1] for run in runs] == [
        "5000",
        "2000000",
    ]


def test_where_restricts_the_axes() -> None:
    chosen_axes, e2 = reproduce.chosen_axes, reproduce.EXPERIMENTS["E2"]
    assert chosen_axes(e2, "paper", ["polarity=2,.50", "multiplier=2"]) == {"polarity": [0.5, 2], "multiplier": [2]}
    quick = chosen_axes(e2, "quick", ["multiplier=10"])
    assert quick == {"polarity": list(e2.quick["polarity"]), "multiplier": [10]}  # beyond what quick takes by itself


@pytest.mark.parametrize(
    ("restriction", "message"),
    [
        ("width=3", "--where width=3: there is no axis 'width'; choose among polarity, multiplier"),
        ("polarity=3", "polarity has no 3; choose among 0.5, 1, 1.5, 2, 2.5"),
        ("polarity=1,1.25,7", "polarity has no 1.25, 7; choose among"),
        ("polarity=strong", "polarity has no strong; choose among 0.5, 1, 1.5, 2, 2.5"),
        ("polarity", "--where polarity: expected AXIS=VALUE"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_where_names_what_there_is(
    restriction: str, message: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.main(["E2", *more, "--where", restriction]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_values_that_are_names_lay_configs_over_the_experiments(tmp_path: Path) -> None:
    e5 = reproduce.EXPERIMENTS["E5-rademacher"]
    axes = reproduce.chosen_axes(e5, "quick", ["augmentation=aware,plain", "multiplier=2"])
    plain, aware = reproduce.plan(e5, "quick", axes, tmp_path, [])
    assert aware.path == tmp_path / "quick/E5/augmentation=aware,distribution=rademacher,multiplier=2"
    assert aware.settings["data.init_args.augmentation.class_path"] == "tsl.data.TeacherAware"
    assert plain.settings["data.init_args.augmentation"] is None
    for run in (plain, aware):
        assert run.settings["data.init_args.distribution.class_path"] == "tsl.data.Rademacher"
        assert run.settings["replicates"] == 18  # of the quick overlay, which comes last
        assert run.student_steps == 18 * 2500


def test_runs_lie_by_scale_experiment_and_cell(planned: Callable[..., Any], tmp_path: Path) -> None:
    paths = [run.path for run in planned("polarity=.5", "multiplier=10,2")]
    assert paths == [tmp_path / f"quick/E2/multiplier={multiplier},polarity=0.5" for multiplier in (2, 10)]
    (run,) = planned("polarity=1", "multiplier=2", scale="paper")
    assert run.path == tmp_path / "paper/E2/multiplier=2,polarity=1"
    assert run.student_steps == 8 * 2
    assert "--trainer.enable_progress_bar false" in " ".join(run.command())


def test_complete_runs_are_not_repeated(
    planned: Callable[..., Any],
    tmp_path: Path,
    no_training: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not even where checkpoints were kept otherwise, on another machine, by a tsl that knew fewer settings."""
    for run in planned():
        del run.settings["data.init_args.fresh_inputs"]
        fake(run, **{"trainer.default_root_dir": "/elsewhere", "checkpoint.save_top_k": 3, "trainer.devices": 2})
    command = ["E2", "--where", "polarity=1", "multiplier=1,2", "--root", str(tmp_path), "--config", str(TINY)]
    assert reproduce.main([*command, "--out", str(tmp_path / "figures")]) == 0
    told = capsys.readouterr().out
    assert "runs: 2, of them complete: 2" in told
    written = {path.name for path in (tmp_path / "figures").iterdir()}
    assert written == {f"E2.{kind}" for kind in ("pdf", "png", "json", "html")}
    page = (tmp_path / "figures/E2.html").read_text()
    assert all(f"multiplier={width},polarity=1" in page for width in (1, 2))
    rows = json.loads((tmp_path / "figures/E2.json").read_text())["rows"]
    assert [row["cell"]["multiplier"] for row in rows] == ["1", "2"]
    assert rows[0]["statistics"]["at the end"]["mean"] == 87.5  # 7 of 8
    assert rows[0]["statistics"]["nodes recovered in every replicate"]["mean"] == 3


def test_runs_with_other_settings_are_refused(planned: Callable[..., Any]) -> None:
    first, second = planned()
    scheduler = {"model.init_args.lr_scheduler.class_path": "torch.optim.lr_scheduler.StepLR"}
    del first.settings["model.init_args.lr_scheduler"]
    fake(first, **{"data.init_args.train_size": 61}, **scheduler)
    del second.settings["records.every_n_epochs"]  # given in E2.yaml
    fake(second, epochs=1)
    with pytest.raises(InputError, match="was run with other settings") as refusal:
        planned()
    told = str(refusal.value)
    assert "data.init_args.train_size: 61 in the run, 60 now" in told
    assert "lr_scheduler.class_path: torch.optim.lr_scheduler.StepLR in the run, nothing now" in told
    assert "records.every_n_epochs: nothing in the run, 5 now" in told
    assert all(str(run.path) in told for run in (first, second))
    assert "--root" in told


def test_a_wrong_overlay_ends_with_the_message_of_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("data: {init_args: {train_sise: 3}}")
    with pytest.raises(SystemExit) as end:
        reproduce.main(["E4", "--root", str(tmp_path), "--config", str(wrong)])
    assert end.value.code == 2
    assert "train_sise" in capsys.readouterr().err


def test_a_failed_run_is_told_and_the_others_are_drawn(
    planned: Callable[..., Any],
    tmp_path: Path,
    no_training: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing, complete = planned()
    fake(complete)
    command = ["E2", "--where", "polarity=1", "multiplier=1,2", "--root", str(tmp_path), "--config", str(TINY)]
    assert reproduce.main(command) == 1
    told = capsys.readouterr().out
    assert f"{failing.path} ended with status 1 after 0 of 2 epochs" in told
    assert f"{failing.path}.log:\n  85\n" in told  # the last lines alone
    assert "  [boom]\nRepeat this run alone:\n  " in told
    assert "1 of 2 runs failed and are not in the figure: multiplier=1,polarity=1" in told
    assert (tmp_path / "quick/E2.png").exists()
    assert not failing.path.exists()  # tsl.fit can be given the same command again


@pytest.mark.slow
def test_a_run_stopped_by_ctrl_c_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = tmp_path / "longer.yaml"
    longer.write_text("{trainer: {max_epochs: 25}, records: {every_n_epochs: 20}}")
    command = ["E4", "--root", str(tmp_path), "--config", str(TINY), str(longer)]
    run = tmp_path / "quick/E4/multiplier=2,polarity=1"

    def interrupt(seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        if (run / "checkpoints/last.ckpt").exists():
            patched.undo()
            raise KeyboardInterrupt
        sleep(0.02)

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", interrupt)
        assert reproduce.main(command) == 130
    assert f"python -m tsl.reproduce {' '.join(command)}" in capsys.readouterr().err
    done = read_table(run, "losses")["epoch"].max()
    assert 1 <= done < 25
    assert not (tmp_path / "quick/E4.png").exists()

    assert reproduce.main(command) == 0
    told = capsys.readouterr().out
    assert f"{run}: {25 * 16:,} student-steps" in told  # those before the stop too
    assert f"left to train: {(25 - done) * 16} of 400 student-steps" in told
    assert "rho_mean at the end" in told
    assert list(read_table(run, "losses")["epoch"].unique()) == list(range(26))
    assert (tmp_path / "quick/E4.png").stat().st_size > 10_000
    assert f"{run}.log" in {str(path) for path in (tmp_path / "quick/E4").iterdir()}

    assert reproduce.main(command) == 0
    assert "runs: 1, of them complete: 1" in capsys.readouterr().out


def test_outcomes(planned: Callable[..., Any]) -> None:
    run = planned()[0]
    fake(run)
    [group] = Run(run.path).groups
    assert outcomes.final_loss(group)["log10 evaluation loss at the end"].in_words == "-4.000 ± 1.414"
    nodes = pd.DataFrame(dict.fromkeys(COLUMNS["student_nodes"], 0.5), index=range(5))
    nodes = nodes.assign(epoch=2, split="val", layer=1, replicate=[0, 0, 0, 1, 1], node=[1, 2, 3, 1, 2])
    of_students = {"best_teacher": [1, 1, 2, 1, 2], "best_correlation": [0.95, 0.91, 0.99, 0.5, 0.97]}
    write_table(run.path, "student_nodes", 2, nodes.assign(**of_students))
    [group] = Run(run.path).groups
    told = outcomes.recovery(group)
    assert told["recovered at 0.95 after 5 epochs"] == "not recorded"
    # seven of eight nodes are recovered: all four of replicate 0, three of replicate 1
    assert told["at the end"].in_words == "87.5 ± 17.7"
    assert told["nodes recovered in every replicate"].mean == 3
    assert told["recovered, last node"].mean == 50
    assert told["students on node 1 over node 2"].mean == 1  # two students each, one with 0.5 left out


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A config that says where the images of CIFAR-10 are: a folder of that name, with nothing in it."""
    (tmp_path / "images/cifar-10-batches-py").mkdir(parents=True)
    config = tmp_path / "images.yaml"
    config.write_text(f"data: {{init_args: {{data_dir: {tmp_path / 'images'}, verify: false}}}}")
    return config


def test_e8_trains_and_prunes_its_teacher_first(tmp_path: Path, images: Path) -> None:
    (trained, pruned), files = reproduce.plan_teachers("quick", tmp_path, [images])
    teacher = tmp_path / "quick/E8/teacher"
    assert (trained.path, trained.epochs, trained.complete) == (teacher, 10, False)
    assert trained.settings["model.init_args.network.init_args.widths"] == [16, 16, 16, 16]
    assert trained.settings["data.init_args.data_dir"] == str(tmp_path / "images")
    assert trained.student_steps == 10_000 // 64
    assert (pruned.path, pruned.complete) == (teacher / "pruned/0.3_0.5_0.5_0.7", False)
    command = " ".join(pruned.command())
    assert f"tsl.prune_teacher {teacher} --ratios 0.3 0.5 0.5 0.7 --epochs {pruned.epochs}" in command
    assert files == {"unpruned": pruned.path / "unpruned.pt", "pruned": pruned.path / "compact.pt"}
    for done, accuracies in ((1, "0,0.1\n0,\n1,0.2\n"), (10, "9,0.2\n10,0.3\n")):
        teacher.mkdir(parents=True, exist_ok=True)
        (teacher / "metrics.csv").write_text(f"epoch,val/accuracy\n{accuracies}")
        assert trained.epochs_done == done
    assert trained.complete
    pruned.path.mkdir(parents=True)
    (pruned.path / "compact.pt").touch()
    assert pruned.complete


def test_e8s_students_learn_from_the_teachers_files(tmp_path: Path, images: Path) -> None:
    e8 = reproduce.EXPERIMENTS["E8"]
    _, files = reproduce.plan_teachers("quick", tmp_path, [images])
    runs = reproduce.plan(e8, "quick", reproduce.chosen_axes(e8, "quick", []), tmp_path, [images], files)
    assert [run.path.name for run in runs[:2]] == ["multiplier=1,teacher=unpruned", "multiplier=2,teacher=unpruned"]
    for run in runs:
        checkpoint = run.settings["model.init_args.teacher.init_args.checkpoint"]
        assert checkpoint == str(files[run.cell["teacher"]])
        position = run.arguments.index("--model.init_args.teacher.init_args.checkpoint")
        assert run.arguments[position + 1] == checkpoint
        assert run.settings["data.init_args.verify"] is False
        assert run.student_steps == 2 * (5_000 // 64)


def test_e8_says_how_to_get_its_images(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images/cifar-10-batches-py").rmdir()
    assert reproduce.main(["E8", "--root", str(tmp_path), "--config", str(images)]) == 2
    told = capsys.readouterr().err
    assert f"the images of CIFAR-10 are missing: no {tmp_path / 'images/cifar-10-batches-py'}" in told
    assert "data.init_args.data_dir" in told
    assert "data.init_args.download to true" in told


def test_without_a_teacher_no_student_is_trained(
    tmp_path: Path, images: Path, no_training: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.main(["E8", "--root", str(tmp_path), "--config", str(images)]) == 1
    told = capsys.readouterr().out
    assert f"{tmp_path / 'quick/E8/teacher'} ended with status 1 after 0 of 10 epochs" in told
    assert "students are not trained, because their teacher's run failed" in told
    assert told.count("runs: 1") == 1


def test_the_outcome_of_a_student_on_images(planned: Callable[..., Any]) -> None:
    run = planned()[0]
    fake(run)
    for epoch in range(3):
        losses = read_table(run.path, "losses").query("epoch == @epoch")
        accuracies = {"accuracy": [0.5, 0.7], "teacher_accuracy": 0.8, "teacher_agreement": 0.6}
        write_table(run.path, "losses", epoch, losses.assign(**accuracies))
        layers = pd.DataFrame({"layer": [1, 2] * 2, "replicate": [0, 0, 1, 1], "rho_mean": [0.1, 0.2, 0.3, 0.6]})
        layers = layers.assign(epoch=epoch, split="val", **{"recovered_fraction_0.95": 0.0})
        layers["rho_mean"] += 0.1 * epoch
        write_table(run.path, "layers", epoch, layers)
    [group] = Run(run.path).groups
    told = outcomes.accuracy_and_correlations(group)
    assert {name: value.in_words for name, value in told.items()} == {
        "accuracy of the teacher, %": "80.0 ± 0.0",
        "of the student, %": "60.0 ± 14.1",
        "rho_mean of layer 1 before training": "0.200 ± 0.141",
        "rho_mean of layer 2 before training": "0.400 ± 0.283",
        "rho_mean of layer 1 at the end": "0.400 ± 0.141",
        "rho_mean of layer 2 at the end": "0.600 ± 0.283",
    }
