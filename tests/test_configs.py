import re
from pathlib import Path

import pytest

from tests.test_fit import ROOT
from tsl.fit import main

EXPERIMENTS = sorted(path for path in (ROOT / "configs").glob("*.yaml"))


OVERLAYS = sorted(path for path in (ROOT / "configs").glob("E*/*.yaml"))
QUICK = sorted(path for path in (ROOT / "configs/quick").glob("*.yaml"))


def run_a_few_steps(configs: list[str], directory: Path) -> None:
    """Run tsl.fit with files of configs/ laid over each other, for a chunk of steps and a batch of evaluation."""
    arguments = [argument for config in configs for argument in ("--config", str(ROOT / "configs" / config))]
    small = ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu", "--data.init_args.chunk_size", "2"]
    if "multilayer.yaml" in configs:
        small += ["--data.init_args.train_size", "4000", "--data.init_args.val_size", "500", "--replicates", "2"]
    main([*arguments, *small, "--trainer.default_root_dir", str(directory)])


def base_of(experiment: str) -> str:
    """The config that the experiment's is laid over."""
    header = (ROOT / f"configs/{experiment}.yaml").read_text()
    return "multilayer.yaml" if "configs/multilayer.yaml --config" in header else "two_layer.yaml"


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_variant_of_an_experiment_runs(path: Path, tmp_path: Path) -> None:
    experiment = path.parent.name
    run_a_few_steps([base_of(experiment), f"{experiment}.yaml", f"{experiment}/{path.name}"], tmp_path)


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_every_quick_overlay_runs(path: Path, tmp_path: Path) -> None:
    run_a_few_steps([base_of(path.stem), path.name, f"quick/{path.name}"], tmp_path)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_config_runs_and_says_its_command(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    base = re.search(r"--config configs/(two_layer|multilayer).yaml --config", text)
    run_a_few_steps([f"{base[1]}.yaml", path.name] if base else [path.name], tmp_path)
    header = text.split("\nexperiment:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"--config configs/{path.name}" in header
