import re
from pathlib import Path

import pytest
import torch

from tests.fitting import TINY
from tsl.experiments import cluster_students
from tsl.fit import main as fit
from tsl.modules.load_run import load_run
from tsl.networks import MLP
from tsl.runs import Run

OF_RUN = ["--model.teacher_initialization", "tsl.modules.TeacherOfRun", "--model.teacher_initialization.run"]
NEAR = ["--model.student_initialization", "tsl.networks.PerturbedTeacher", "--model.student_initialization.noise"]


def train(root: Path, version: str, *arguments: str) -> Path:
    once = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(root), "--version", version]
    fit([*TINY, *once, *arguments])
    return root / "tiny" / version


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs"), "teacher", "--replicates", "1")


@pytest.fixture(scope="module")
def run(teacher: Path) -> Path:
    """Three students near one teacher, with two copies of each of its nodes."""
    wide = ["--replicates", "3", "--model.multiplier", "2", "--model.optimizer.lr", "0.001"]
    return train(teacher.parents[1], "students", *OF_RUN, str(teacher), *NEAR, "0.02", *wide)


def test_the_teacher_is_recovered_and_its_network_is_better_than_the_students(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster_students.main([str(run), "--distance", "0.3"]) == 0
    told = capsys.readouterr().out
    assert "width recovered: 4, and the teacher has 4 nodes" in told
    table = Run(run).table("clusters")
    assert sorted(table["best_teacher"]) == [1, 2, 3, 4]
    assert (table["distance"] < 0.05).all()
    assert table["students"].tolist() == [3] * 4
    assert table["student_nodes"].tolist() == [6] * 4
    loaded = load_run(run)
    network = MLP(1, input_dim=6, widths=[4], output_dim=3).double()
    network.load_state_dict(torch.load(run / "clustered/reconstruction.pt", weights_only=True))
    inputs = loaded.data.val_samples().inputs
    answers, by_students = (of(inputs).detach() for of in (loaded.module.teacher, loaded.module.student))
    loss = sum(
        (network(one.unsqueeze(0))[0] - answer).square().sum() for one, answer in zip(inputs, answers, strict=True)
    ) / (2 * inputs.shape[:2].numel())
    assert f"evaluation loss: {loss.item():.2g} of the reconstruction" in told
    assert loss < (by_students - answers).square().sum(dim=(1, 2)).min() / (2 * inputs.shape[1])


def test_weights_of_a_file_stand_in_for_those_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The teacher itself three times, each of its nodes twice, with half of the fan-out."""
    exact = MLP(3, input_dim=6, widths=[8], output_dim=3).double()
    with torch.no_grad():
        (low, top), (of_low, of_top) = exact.layers, load_run(run).module.teacher.layers
        low.weight.copy_(torch.cat([of_low.weight, of_low.weight], dim=1))
        low.bias.copy_(torch.cat([of_low.bias, of_low.bias], dim=1))
        top.weight.copy_(torch.cat([of_top.weight, of_top.weight], dim=2) / 2)
        top.bias.copy_(of_top.bias)
    torch.save(exact.state_dict(), tmp_path / "student.pt")
    assert cluster_students.main([str(run), "--weights", str(tmp_path / "student.pt")]) == 0
    assert (Run(run).table("clusters")["distance"] < 1e-12).all()
    found = re.search(r"evaluation loss: (\S+) of the reconstruction", capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) < 1e-20


def test_what_cannot_be_clustered_is_refused(run: Path, teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = teacher.parents[1]
    assert cluster_students.main([str(run), "--distance", "1e-9"]) == 2
    assert "no node is shared by 80% of the 3 students: train further" in capsys.readouterr().err
    assert cluster_students.main([str(train(root, "several"))]) == 2
    assert "but the replicates have different teachers" in capsys.readouterr().err
    assert cluster_students.main([str(train(root, "erf", "--model.teacher.activation", "linear"))]) == 2
    assert "nodes of a linear network are not determined" in capsys.readouterr().err
    assert cluster_students.main([str(train(root, "other", "--model.student.activation", "erf"))]) == 2
    assert "but the teacher has relu and the student erf" in capsys.readouterr().err
    deep = train(root, "deep", "--model.teacher.widths", "[4,4]")
    assert cluster_students.main([str(deep)]) == 2
    assert "expects one hidden layer without BatchNorm, but this run has widths [8, 8]" in capsys.readouterr().err
