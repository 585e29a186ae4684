from pathlib import Path

import pytest

from tests.test_fit import ROOT
from tsl.fit import main

EXPERIMENTS = sorted(path for path in (ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_config_runs_and_says_its_command(path: Path, tmp_path: Path) -> None:
    base = ROOT / "configs/two_layer.yaml"
    overlay = "class_path: tsl.modules.TeacherStudent" not in path.read_text()
    configs = [base, path] if overlay else [path]
    arguments = [argument for config in configs for argument in ("--config", str(config))]
    small = ["--replicates", "2", "--trainer.fast_dev_run", "true", "--trainer.default_root_dir", str(tmp_path)]
    main([*arguments, *small, "--trainer.accelerator", "cpu"])
    header = path.read_text().split("\nexperiment:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"--config configs/{path.name}" in header
