import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.classifiers import train
from tests.labelled import TinyImages
from tsl.experiments import prune_teacher
from tsl.modules.losses import accuracy
from tsl.networks import load_network

ROOT = Path(__file__).parents[2]
SHAPE = [2, 8, 8]
NETWORK = {
    "class_path": "tsl.networks.ConvNet",
    "init_args": {"input_shape": SHAPE, "widths": [8, 6], "output_dim": 3, "batch_norm": "after"},
}
DEEP = ("--model.init_args.network", json.dumps(NETWORK), "--data.init_args.shape", str(SHAPE))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 replicates of 8 and 6 channels."""
    return train(tmp_path_factory.mktemp("runs"), *DEEP) / "version_0"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run for one test."""
    return Path(shutil.copytree(trained, tmp_path / "classifier/version_0"))


def told_accuracies(run: Path) -> pd.Series:
    return pd.read_csv(run / "metrics.csv").dropna(subset="val/accuracy").set_index("epoch")["val/accuracy"]


def test_a_teacher_is_pruned_trained_on_and_made_small(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    command = [str(run), "--ratios", "0.25", "0.5", "--epochs", "3", "--lr", "0.02"]
    assert prune_teacher.main(command) == 0
    out = run / "pruned/0.25_0.5"
    told = capsys.readouterr().out
    assert "active nodes: [6, 3] of [8, 6]" in told

    images, labels = TinyImages(SHAPE, noise=2.0).images(48, seed=2)
    images, labels = images.double().expand(2, -1, -1, -1, -1), labels.expand(2, -1)
    networks = {
        name: load_network(out / f"{name}.pt").double().eval() for name in ("unpruned", "pruned", "compact", "start")
    }
    score = {name: accuracy(network(images), labels).mean().item() for name, network in networks.items()}
    assert score["unpruned"] == pytest.approx(told_accuracies(run)[1:].max())
    assert score["pruned"] == pytest.approx(told_accuracies(out)[1:].max())
    before, after_pruning, after = (f"{score[name]:.2%}" for name in ("unpruned", "start", "pruned"))
    words = f"validation accuracy: before {before}, after pruning {after_pruning}, after further training {after}"
    assert words in told

    assert [of_layer.sum(dim=1).tolist() for of_layer in networks["pruned"].active_nodes()] == [[6, 6], [3, 3]]
    for own, same in zip(networks["pruned"].active_nodes(), networks["start"].active_nodes(), strict=True):
        assert torch.equal(own, same)
    assert not torch.equal(networks["pruned"].layers[0].weight, networks["start"].layers[0].weight)
    assert networks["compact"].widths == [6, 3]
    torch.testing.assert_close(networks["compact"](images), networks["pruned"](images), rtol=0, atol=1e-12)

    assert prune_teacher.main(command) == 0  # again: what is done is kept
    assert words in capsys.readouterr().out


def test_mistakes_are_one_line_and_status_2(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert prune_teacher.main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        return captured.err

    assert "it does not exist" in told(str(run / "gone"), "--ratios", "0.5", "0.5")
    assert "--ratios gives 3 numbers for 2 hidden layers" in told(str(run), "--ratios", "0.5", "0.5", "0.5")
    assert "--ratios 1: at least one of a layer's 8 nodes has to stay" in told(str(run), "--ratios", "1", "0.5")
    assert "--ratios -0.1: at least one of a layer's 6 nodes" in told(str(run), "--ratios", "0.5", "-0.1")
    assert not (run / "pruned").exists()
    for name in ("best", "last"):
        (run / f"checkpoints/{name}.ckpt").unlink()
    assert "has no checkpoints/best.ckpt or last.ckpt" in told(str(run), "--ratios", "0.5", "0.5")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("tsl.modules.Classifier", "tsl.modules.TeacherStudent"))
    assert "is not a run of tsl.modules.Classifier" in told(str(run), "--ratios", "0.5", "0.5")
