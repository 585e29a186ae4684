"""Students of images through the command line, and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.fitting import assert_same_records, weights
from tests.image_students import SHAPE, image_module
from tests.labelled import TinyImages
from tsl.errors import InputError
from tsl.fit import main
from tsl.modules.load_run import load_run
from tsl.networks import MLP, ConvNet, DefaultInitialization, External, FromFile, save_network
from tsl.randomness import replicate_generators
from tsl.runs.records import read_table

CONVNET = {
    "class_path": "tsl.networks.ConvNet",
    "init_args": {"input_shape": SHAPE, "widths": [3, 4], "output_dim": 3, "batch_norm": "after"},
}
DEFAULT = {"class_path": "tsl.networks.DefaultInitialization"}


def run(directory: Path, *arguments: str, **model: Any) -> Path:
    init_args = {
        "teacher": CONVNET,
        "teacher_initialization": DEFAULT,
        "student_initialization": DEFAULT,
        "loss": "tsl.modules.mse",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05, "momentum": 0.9}},
    }
    config = {
        "experiment": "images",
        "replicates": 2,
        "trainer": {"accelerator": "cpu", "max_epochs": 3, "enable_progress_bar": False, "enable_model_summary": False},
        "model": {"class_path": "tsl.modules.TeacherStudent", "init_args": init_args | model},
        "data": {"class_path": "tests.labelled.TinyImages", "init_args": {"shape": SHAPE}},
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    main(["--config", str(directory / "config.yaml"), "--trainer.default_root_dir", str(directory), *arguments])
    return directory / "images"


def test_students_learn_images_resume_exactly_and_load_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--version", "whole")
    assert "student and teacher agree on" in capsys.readouterr().out
    run(tmp_path, "--version", "cut", "--trainer.max_epochs", "2")
    root = run(tmp_path, "--version", "cut", "--ckpt_path", "last")
    for name, tensor in weights(root / "whole").items():
        assert torch.equal(tensor, weights(root / "cut")[name])
    assert_same_records(root / "whole", root / "cut")
    losses = read_table(root / "whole", "losses").groupby("epoch")[["val_mse", "teacher_agreement"]].mean()
    assert losses["val_mse"].iloc[-1] < 0.7 * losses["val_mse"].iloc[0]
    assert losses["teacher_agreement"].iloc[-1] > losses["teacher_agreement"].iloc[0]
    module, _, epoch = load_run(root / "whole")
    inputs, labels = TinyImages(SHAPE).images(48, seed=2)
    hits = (module.student(inputs.expand(2, *inputs.shape)).argmax(dim=-1) == labels).float().mean(dim=1)
    recorded = read_table(root / "whole", "losses").query(f"epoch == {epoch}")["accuracy"]
    assert hits.tolist() == pytest.approx(recorded.tolist())


def test_a_teacher_from_elsewhere_by_config(tmp_path: Path) -> None:
    teacher = {
        "class_path": "tsl.networks.External",
        "init_args": {
            "input_shape": [2, 8, 8],
            "layers": ["features.1", "features.3"],
            "module": {"class_path": "tests.modules.test_image_students.Elsewhere", "init_args": {"channels": 3}},
            "weights": str(tmp_path / "weights.pt"),
        },
    }
    torch.save(Elsewhere(3).state_dict(), tmp_path / "weights.pt")
    settings = {"teacher": teacher, "teacher_initialization": None, "student": CONVNET}
    root = run(tmp_path, "--trainer.max_epochs", "1", **settings)
    layers = read_table(root / "version_0", "layers").query("epoch == 1")
    assert layers["rho_mean"].between(0, 1).all()
    assert read_table(root / "version_0", "teacher_nodes")["strength"].isna().all()
    assert load_run(root / "version_0").module.teacher.widths == [3, 3]


class Elsewhere(torch.nn.Module):
    """A network that is none of tsl's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = torch.nn.Conv2d(2, channels, 3), torch.nn.Conv2d(channels, channels, 3)
        self.features = torch.nn.Sequential(convolutions[0], torch.nn.ReLU(), convolutions[1], torch.nn.ReLU())
        self.top = torch.nn.Linear(channels * 16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.top(self.features(images).flatten(1))


def test_a_student_has_multiples_of_the_active_channels(tmp_path: Path) -> None:
    network = ConvNet(input_shape=SHAPE, widths=[3, 4], output_dim=3)
    DefaultInitialization()(network, replicate_generators("teacher", 0, 1))
    with torch.no_grad():
        network.layers[1].weight[:, :, 0] = 0
    save_network(network, tmp_path / "teacher.pt")
    pruned = {"class_path": "tsl.networks.Pretrained", "init_args": {"checkpoint": str(tmp_path / "teacher.pt")}}
    root = run(tmp_path, "--trainer.max_epochs", "1", teacher=pruned, teacher_initialization=None, multiplier=2)
    assert load_run(root / "version_0").module.student.widths == [4, 8]
    assert set(read_table(root / "version_0", "teacher_nodes").query("layer == 1")["node"]) == {2, 3}


def external(replicates: int) -> External:
    return External(replicates, input_shape=[2, 8, 8], layers=["features.1", "features.3"], module=Elsewhere(3))


def convnet(**settings: Any) -> Any:
    return partial(ConvNet, **({"input_shape": SHAPE, "widths": [3, 4], "output_dim": 3} | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": external}, "External already has its weights: set .*teacher_initialization to null"),
        ({"teacher_initialization": None}, "ConvNet comes without weights: set model.init_args.teacher_initialization"),
        (
            {"teacher": external, "teacher_initialization": None},
            "cannot copy the architecture of External: set .*student to a class",
        ),
        (
            {"student": convnet(widths=[3])},
            "teacher has 2 hidden layers to compare, but model.init_args.student has 1",
        ),
        (
            {"student": convnet(padding=[0, 1])},
            "hidden layer 2: the teacher's maps are 4 x 4, the student's 6 x 6, .* set kernel_size",
        ),
        (
            {"student": partial(MLP, input_dim=128, widths=[3, 4], output_dim=3)},
            "hidden layer 1: the teacher's maps are 6 x 6, the student's no maps",
        ),
        (
            {"student": convnet(output_dim=4)},
            "teacher has 3 outputs, but the student has 4: set model.init_args.student.init_args.output_dim to 3",
        ),
    ],
)
def test_networks_that_cannot_be_compared(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        image_module(**settings).make_networks()


def test_images_of_another_shape(fit: Any) -> None:
    with pytest.raises(InputError, match=r"TinyImages have the shape \[1, 8, 8\], but model.init_args.teacher takes"):
        fit(image_module(), TinyImages([1, 8, 8]))
    student = convnet(input_shape=[1, 10, 10], kernel_size=[5, 3])
    with pytest.raises(InputError, match=r"but model.init_args.student takes \[1, 10, 10\]"):
        fit(image_module(student=student), TinyImages(SHAPE))


@pytest.mark.parametrize("loss", ["tsl.modules.KL", "tsl.modules.cross_entropy"])
def test_mlps_learn_images_too(loss: str, tmp_path: Path) -> None:
    mlp = {"class_path": "tsl.networks.MLP", "init_args": {"input_dim": 128, "widths": [5], "output_dim": 3}}
    root = run(tmp_path, "--trainer.max_epochs", "1", teacher=mlp, loss=loss)
    losses = read_table(root / "version_0", "losses").groupby("epoch")["val_loss"].mean()
    assert losses.iloc[1] < losses.iloc[0]


def test_weights_of_a_file_for_convolutions(tmp_path: Path) -> None:
    source, other = convnet()(2), convnet()(2)
    DefaultInitialization()(source, replicate_generators("student", 0, 2))
    torch.save(source.state_dict(), tmp_path / "student.pt")
    FromFile(str(tmp_path / "student.pt"))(other, replicate_generators("student", 1, 2))
    images = torch.randn(2, 4, *SHAPE)
    assert torch.equal(source(images), other(images))
