import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.classifiers import train as train_classifier
from tests.compare.networks import convolutional, dense
from tests.data.image_files import write_cifar10
from tests.fitting import TINY
from tsl.compare.__main__ import main
from tsl.compare.sources import inputs_of, tensor_of_file
from tsl.data import CIFAR10DataModule
from tsl.fit import main as fit


def small_images() -> torch.nn.Module:
    return convolutional(0).eval()


def vectors() -> torch.nn.Module:
    return dense(0)


def other_vectors() -> torch.nn.Module:
    return dense(1)


HERE = __name__


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of ten images of 9 × 12."""
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for index in range(10):
            Image.fromarray(generator.integers(0, 255, (9, 12, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "images"


@pytest.fixture
def tensor(tmp_path: Path) -> Path:
    torch.save(torch.randn(30, 5), tmp_path / "inputs.pt")
    return tmp_path / "inputs.pt"


def test_two_networks_on_an_image_folder(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    network = f"{HERE}.small_images"
    some = ["--measures", "minibatch_cka", "one_to_one", "--nodes", "2:4"]
    assert main([network, network, "--data", str(images), "--size", "8", "--out", str(out), *some]) == 0
    assert capsys.readouterr().out.endswith(f"{out / 'report.html'}\n")
    layers = pd.read_parquet(out / "layers.parquet")
    assert len(layers) == 2 * 9
    nodes = pd.read_parquet(out / "nodes.parquet")
    assert set(zip(nodes["layer_a"], nodes["layer_b"], strict=True)) == {("2", "4")}
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "http" not in page.replace("http-equiv", "")
    drawn = sorted(path.name for path in out.glob("*.png"))
    assert len(drawn) == 3
    for name in drawn:
        assert np.asarray(Image.open(out / name)).std() > 5


def test_one_network_is_compared_with_itself_and_three_make_a_table(tensor: Path, tmp_path: Path) -> None:
    network = f"{HERE}.vectors"
    common = ["--data", str(tensor), "--measures", "rho_mean_a", "rho_mean_b"]
    assert main([network, *common, "--out", str(tmp_path / "one")]) == 0
    layers = pd.read_parquet(tmp_path / "one" / "layers.parquet")
    assert (layers.loc[layers["layer_a"] == layers["layer_b"], "value"] == 1).all()
    assert main([network, f"{HERE}.other_vectors", network, *common, "--out", str(tmp_path / "three")]) == 0
    assert "<h2>Networks</h2>" in (tmp_path / "three" / "report.html").read_text()
    assert len(list((tmp_path / "three").glob("networks_*.png"))) == 2


def test_student_and_teacher_of_a_run_and_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit([*TINY, "--trainer.default_root_dir", str(tmp_path)])
    [config] = tmp_path.rglob("config.yaml")
    run = config.parent
    common = ["--measures", "rho_mean_a", "--out", str(tmp_path / "out")]
    assert main([f"{run}:teacher", f"{run}/checkpoints/last.ckpt", *common]) == 0
    found = pd.read_parquet(tmp_path / "out" / "layers.parquet")
    recorded = pd.read_parquet(run / "records" / "layers")
    last = recorded[(recorded["epoch"] == recorded["epoch"].max()) & (recorded["replicate"] == 0)]
    last = last[last["split"] == "val"] if "split" in last else last
    for layer, value in zip(last["layer"], last["rho_mean"], strict=True):
        row = found[(found["layer_a"] == f"layer{layer}") & (found["layer_b"] == f"layer{layer}")]
        assert row["value"].item() == pytest.approx(value, abs=1e-6)


def test_weights_of_a_file(tensor: Path, tmp_path: Path) -> None:
    torch.save(dense(0).state_dict(), tmp_path / "w.pt")
    sources = [f"{HERE}.vectors", f"{HERE}.other_vectors={tmp_path / 'w.pt'}"]
    assert main([*sources, "--data", str(tensor), "--measures", "one_to_one", "--out", str(tmp_path / "out")]) == 0
    layers = pd.read_parquet(tmp_path / "out" / "layers.parquet")
    assert (layers.loc[layers["layer_a"] == layers["layer_b"], "value"] > 1 - 1e-9).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet19"], "resnet19: no such model; nearest: .*resnet18"),
        (["nowhere.network"], "nowhere.network cannot be imported"),
        (["./runs/none"], r"\./runs/none: no such run or checkpoint"),
        (["{here}"], "expected a run's folder with its config.yaml"),
        (["{network}"], "--data: name an image folder"),
        (["{network}", "--data", "{here}/none"], "--data .*none: no such file or folder"),
        (["{network}", "--data", "{here}/split"], "holds train, val, which are splits, not classes: name one of them"),
        (["{network}", "--data", "{here}/empty"], "Expected a folder for each class"),
        (["{network}", "--data", "{here}/text.pt"], "text.pt is damaged, or is not a .npy, .pt or .pth file"),
        (["{network}", "--data", "{tensor}", "--count", "0"], "--count 0: expected a positive number of inputs"),
        (["{network}", "--data", "{tensor}", "--count", "5"], "inputs: expected at least 8, got 5"),
        (["{network}", "--data", "{tensor}", "--nodes", "1"], "--nodes 1: expected a layer of each network"),
        (["{network}={here}/none.pt", "--data", "{tensor}"], "none.pt: no such file"),
        (["{network}={here}/other.pt", "--data", "{tensor}"], "other.pt is of another module than Sequential: missing"),
    ],
)
def test_what_is_refused(
    arguments: list[str], message: str, tensor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("split/train", "split/val", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "text.pt").write_text("text")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    words = {"here": tmp_path, "network": f"{HERE}.vectors", "tensor": tensor}
    filled = [argument.format(**words) for argument in arguments]
    assert main([*filled, "--out", str(tmp_path / "out"), "--measures", "one_to_one"]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(2), "b": torch.zeros(2)}, "holds a dict: expected one tensor"),
        (torch.full((9, 2), torch.nan), "has NaN or infinite numbers"),
    ],
)
def test_tensor_files_that_hold_no_inputs(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=message):
        tensor_of_file(tmp_path / "x.pt")
    np.save(tmp_path / "x.npy", np.ones((9, 2)))
    assert tensor_of_file(tmp_path / "x.npy").shape == (9, 2)


def table_of(sources: list[str], out: Path, *arguments: str) -> pd.DataFrame:
    assert main([*sources, "--measures", "one_to_one", "--out", str(out), *arguments]) == 0
    return pd.read_parquet(out / "layers.parquet").set_index(["layer_a", "layer_b"])["value"]


def test_a_run_against_itself_at_two_epochs(tmp_path: Path) -> None:
    every_epoch = ["--checkpoint.save_top_k=-1", "--checkpoint.filename={epoch}", "--checkpoint.save_last=true"]
    fit([*TINY, "--trainer.default_root_dir", str(tmp_path), *every_epoch])
    checkpoints = next(tmp_path.rglob("checkpoints"))
    first, second = (str(checkpoints / f"epoch={epoch}.ckpt") for epoch in (0, 1))
    assert table_of([first, first], tmp_path / "same")["layer1", "layer1"] == 1
    assert table_of([second, str(checkpoints / "last.ckpt")], tmp_path / "last")["layer1", "layer1"] > 1 - 1e-9
    changed = table_of([first, second], tmp_path / "two")["layer1", "layer1"]
    assert 0.2 < changed < 1 - 1e-6
    other = table_of([first, second], tmp_path / "other", "--replicate", "1")["layer1", "layer1"]
    assert other != changed
    names = pd.read_parquet(tmp_path / "two" / "layers.parquet")[["network_a", "network_b"]].iloc[0].tolist()
    assert names == ["version_0/epoch=0.ckpt", "version_0/epoch=1.ckpt"]


def test_a_classifier_and_its_best_checkpoint(tmp_path: Path) -> None:
    run = train_classifier(tmp_path) / "version_0"
    torch.save(torch.randn(40, 6), tmp_path / "x.pt")
    sources = [str(run), str(run / "checkpoints" / "best.ckpt"), str(run / "checkpoints" / "last.ckpt")]
    table = table_of(sources[::2], tmp_path / "out", "--data", str(tmp_path / "x.pt"))
    assert table["layer1", "layer1"] > 1 - 1e-9
    assert table_of(sources[:2], tmp_path / "own")["layer1", "layer1"] > 0.2  # on the run's own inputs


def test_cifar10_gives_its_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = write_cifar10(tmp_path, train=10, test=20)
    data = CIFAR10DataModule(data_dir=str(tmp_path), verify=False)
    inputs = inputs_of(str(tmp_path), "A", 224, None, 0)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (data.mean, data.std))
    expected = ((images[10:] / 255) - mean) / std
    order = np.lexsort(inputs.flatten(1).numpy().T), np.lexsort(expected.reshape(20, -1).T)
    np.testing.assert_allclose(inputs.numpy()[order[0]], expected[order[1]], atol=1e-5)
    assert len(inputs_of(str(tmp_path), "A", 224, 12, 0)) == 12


def test_prefixes_that_are_taken_off_are_said(tensor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {f"module.{name}": values for name, values in dense(0).state_dict().items()}
    torch.save({"ema": state}, tmp_path / "w.pt")
    sources = [f"{HERE}.vectors", f"{HERE}.other_vectors={tmp_path / 'w.pt'}"]
    table = table_of(sources, tmp_path / "out", "--data", str(tensor), "--weights-key", "ema")
    assert table["1", "1"] > 1 - 1e-9
    assert "took 'module.' off all names" in capsys.readouterr().err
    assert "took &#x27;module.&#x27; off all names" in (tmp_path / "out" / "report.html").read_text()
