"""The commands that W&B's agent builds from configs/sweeps, parsed by the command line of tsl."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from tests.fitting import ROOT, TINY
from tsl.fit import main
from tsl.runs.settings import flatten
from tsl.wandb.scalars import summaries

SWEEPS = sorted(path for path in ROOT.glob("configs/sweeps/*.yaml") if "program" in yaml.safe_load(path.read_text()))


def agent_command(sweep: dict[str, Any], chosen: dict[str, Any]) -> list[str]:
    """The command of one run: macros filled in as wandb's agent does."""
    filled = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    filled |= {"interpreter": ["python"], "program": [sweep["program"]], "env": ["/usr/bin/env"]}
    command: list[str] = []
    for word in create_sweep_command(list(sweep["command"])):
        command += filled[word[2:-1]] if word.startswith("${") else [word]
    return command


def first_choice(parameter: dict[str, Any]) -> Any:
    return parameter.get("value", parameter.get("values", [parameter.get("min")])[-1])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_command_of_a_sweep_parses(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = yaml.safe_load(path.read_text())
    chosen = {name: first_choice(parameter) for name, parameter in sweep["parameters"].items()}
    command = agent_command(sweep, chosen)
    assert command[:4] == ["/usr/bin/env", "python", "-m", "tsl.fit"]
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match="0"):
        main([*command[4:], "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    flat = flatten(config)
    for name, value in chosen.items():
        assert flat[name] == (None if value == "null" else value)
    assert config["trainer"]["callbacks"][-1]["class_path"] == "tsl.wandb.WandbBoard"
    assert sweep["metric"]["name"] in summaries(1, {})


def test_sweeps_say_their_command() -> None:
    assert SWEEPS
    for path in SWEEPS:
        assert re.search(rf"wandb sweep --project tsl configs/sweeps/{path.name}", path.read_text())


def test_a_sweeps_run_is_named_by_its_id_so_that_agents_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1"]
    main([*TINY, *root])
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    main([*TINY, *root])
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {"version_0", "abc123"}
