import re
from pathlib import Path

import pytest

from tests.data.image_files import write_cifar10
from tests.fitting import ROOT
from tsl.fit import main
from tsl.networks import ConvNet, DefaultInitialization, save_network
from tsl.randomness import replicate_generators

EXPERIMENTS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.stem != "published")
IMAGES = sorted(path for path in (ROOT / "configs/cifar10").glob("*.yaml"))

OVERLAYS = sorted(path for path in (ROOT / "configs").glob("[ETt]*/*.yaml"))
QUICK = sorted(path for path in (ROOT / "configs/quick").glob("*.yaml"))

BASE = re.compile(r"--config configs/(two_layer|multilayer|committee|cifar10/student)\.yaml --config")


@pytest.fixture(scope="module")
def image_arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the configs of images need to run: a few images in the layout of CIFAR-10, and for students a teacher."""
    directory = tmp_path_factory.mktemp("images")
    write_cifar10(directory, train=50, test=10)
    network = ConvNet(input_shape=[3, 32, 32], widths=[2, 2, 2, 2], output_dim=10, batch_norm="after")
    DefaultInitialization()(network, replicate_generators("teacher", 0, 1))
    save_network(network, directory / "teacher.pt")
    data = {"data_dir": str(directory), "verify": "false", "train_size": "8", "val_size": "4", "batch_size": "4"}
    common = [word for key, value in data.items() for word in (f"--data.init_args.{key}", value)]
    checkpoint = "--model.init_args.teacher.checkpoint", str(directory / "teacher.pt")
    return {"teacher": common, "student": [*common, *checkpoint]}


def run_a_few_steps(configs: list[str], directory: Path, images: dict[str, list[str]]) -> None:
    """Run tsl.fit with files of configs/ laid over each other, for a chunk of steps and a batch of evaluation."""
    arguments = [argument for config in configs for argument in ("--config", str(ROOT / "configs" / config))]
    small = ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu", "--data.init_args.chunk_size", "2"]
    if "multilayer.yaml" in configs:
        small += ["--data.init_args.train_size", "4000", "--data.init_args.val_size", "500", "--replicates", "2"]
    if configs[0].startswith("cifar10/"):
        small += images[Path(configs[0]).stem]
    main([*arguments, *small, "--trainer.default_root_dir", str(directory)])


def base_of(experiment: str) -> str:
    """The config that the experiment's is laid over."""
    base = BASE.search((ROOT / f"configs/{experiment}.yaml").read_text())
    return f"{base[1]}.yaml" if base else "two_layer.yaml"


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_variant_of_an_experiment_runs(path: Path, tmp_path: Path, image_arguments: dict[str, list[str]]) -> None:
    experiment = path.parent.name
    configs = [base_of(experiment), f"{experiment}.yaml", f"{experiment}/{path.name}"]
    run_a_few_steps(configs, tmp_path, image_arguments)


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_every_quick_overlay_runs(path: Path, tmp_path: Path, image_arguments: dict[str, list[str]]) -> None:
    below = ["cifar10/teacher.yaml"] if path.stem == "E8_teacher" else [base_of(path.stem), path.name]
    run_a_few_steps([*below, f"quick/{path.name}"], tmp_path, image_arguments)


@pytest.mark.parametrize("path", EXPERIMENTS + IMAGES, ids=lambda path: path.stem)
def test_every_config_runs_and_says_its_command(
    path: Path, tmp_path: Path, image_arguments: dict[str, list[str]]
) -> None:
    text = path.read_text()
    name = str(path.relative_to(ROOT / "configs"))
    base = BASE.search(text)
    run_a_few_steps([f"{base[1]}.yaml", name] if base else [name], tmp_path, image_arguments)
    header = text.split("\nexperiment:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"--config configs/{name}" in header
