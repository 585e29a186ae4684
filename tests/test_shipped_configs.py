"""Where configs are found: a file of one's own first, then what tsl ships."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.fitting import ROOT
from tsl.configs import (
    config_directory,
    copy_config,
    find_config,
    find_configs,
    main,
    shipped_configs,
    time_it_takes,
    what_it_shows,
)
from tsl.errors import InputError
from tsl.experiments import reproduce, sample_complexity
from tsl.fit import main as fit


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_is_in_the_checkout_is_shipped() -> None:
    assert config_directory() == ROOT / "configs"
    assert sorted(shipped_configs()) == sorted(
        str(path.relative_to(ROOT / "configs")) for path in ROOT.glob("configs/**/*.yaml")
    )


def test_numbers_are_in_the_order_of_their_size() -> None:
    names = shipped_configs()
    order = ["E1.yaml", "E2.yaml", "E5.yaml", "E5/aware.yaml", "E9.yaml", "E10.yaml", "E10/adam.yaml", "two_layer.yaml"]
    assert sorted(order, key=names.index) == order


@pytest.mark.parametrize(
    "name", ["two_layer.yaml", "configs/two_layer.yaml", "./configs/E5/aware.yaml", "E5/aware.yaml"]
)
def test_a_shipped_config_is_found_by_its_name(name: str) -> None:
    assert find_config(name) == ROOT / "configs" / name.removeprefix("./").removeprefix("configs/")


def test_a_file_of_ones_own_wins(empty: Path) -> None:
    (empty / "E5").mkdir()
    for name in ("two_layer.yaml", "E5/aware.yaml"):
        (empty / name).write_text("replicates: 1")
        assert find_config(name) == Path(name)
        assert find_config(f"configs/{name}") == ROOT / "configs" / name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("two_lyer.yaml", "two_layer.yaml"),
        ("two_layer", "two_layer.yaml"),
        ("wandb.yaml", "logger/wandb.yaml"),
        ("E5/awre.yaml", "E5/aware.yaml"),
        ("../configs/E5", "E5.yaml"),
        (".", ""),
    ],
)
def test_a_name_of_neither(name: str, nearest: str) -> None:
    with pytest.raises(InputError, match="no such file, and tsl ships no config of that name") as refused:
        find_config(name)
    assert nearest in str(refused.value)
    assert "python -m tsl.configs lists all" in str(refused.value)


def test_every_config_of_a_command_line_is_found() -> None:
    shipped = str(ROOT / "configs/E2.yaml")
    assert find_configs(["--config", "E2.yaml", "--config=E2.yaml", "-c", "E2.yaml", "--version", "E2.yaml"]) == [
        *("--config", shipped, f"--config={shipped}", "-c", shipped, "--version", "E2.yaml")
    ]
    as_they_are = ["--config", "replicates: 2", "--config={replicates: 2}", "--config", "https://example.org/a.yaml"]
    assert find_configs(as_they_are) == as_they_are


def test_fit_takes_shipped_configs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        fit(["--config", "two_layer.yaml", "--config=configs/E4.yaml", "--print_config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert (settings["experiment"], settings["data"]["init_args"]["train_size"]) == ("E4", 1000)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (fit, ["--config", "two_lyer.yaml"]),
        (reproduce.main, ["E2", "--config", "two_lyer.yaml"]),
        (sample_complexity.main, ["two_lyer.yaml"]),
    ],
)
def test_every_program_says_it_in_one_message(
    program: Callable[[list[str]], int | None], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = program(arguments)
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr().err
    assert (status, told.count("\n")) == (2, 1)
    assert told.startswith("error: config two_lyer.yaml: no such file")
    assert "two_layer.yaml" in told


def test_the_list_says_what_each_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in told.splitlines() if line.startswith("  "))
    times = [line.split("Time: ")[1] for line in told.splitlines() if line.lstrip().startswith("Time: ")]
    assert {name: lines[name] for name in shipped_configs()} == {n: what_it_shows(n) for n in shipped_configs()}
    assert sorted(times) == sorted(map(time_it_takes, shipped_configs()))
    headings = [line for line in told.splitlines() if not line.startswith(" ")]
    assert len(headings) == 4
    complete, overlays, *_ = (told.index(heading) for heading in headings)
    assert (
        complete
        < told.index("  multilayer.yaml")
        < overlays
        < told.index("  E1.yaml")
        < told.index("  logger/wandb.yaml")
    )


@pytest.mark.parametrize("name", shipped_configs())
def test_the_first_line_says_what_it_shows(name: str) -> None:
    first = (ROOT / "configs" / name).read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
    assert len(first) <= 105


@pytest.mark.parametrize("name", shipped_configs())
def test_the_second_line_says_its_time_and_hardware(name: str) -> None:
    second = (ROOT / "configs" / name).read_text().splitlines()[1]
    assert second == f"# Time: {time_it_takes(name)}"
    assert second.endswith(".")


def test_a_copy_to_edit(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty / "folder").mkdir()
    shipped = (ROOT / "configs/E5/aware.yaml").read_bytes()
    for words, written in (
        (["E5/aware.yaml"], "aware.yaml"),
        (["configs/E5/aware.yaml", "mine.yaml"], "mine.yaml"),
        (["E5/aware.yaml", "folder"], "folder/aware.yaml"),
    ):
        assert main(["copy", *words]) == 0
        assert capsys.readouterr().out == f"{written}\n"
        assert (empty / written).read_bytes() == shipped
    (empty / "aware.yaml").write_text("mine")
    assert main(["copy", "E5/aware.yaml"]) == 2
    assert (
        capsys.readouterr().err == "error: aware.yaml already exists: move it away, or name another file to copy to\n"
    )
    assert (empty / "aware.yaml").read_text() == "mine"
    assert main(["copy", "E5/aware.yaml", "no/such/folder.yaml"]) == 2
    assert "no/such/folder.yaml" in capsys.readouterr().err


def test_only_what_is_shipped_is_copied(empty: Path) -> None:
    (empty / "mine.yaml").write_text("replicates: 1")
    with pytest.raises(InputError, match=r"config mine\.yaml: no such file"):
        copy_config("mine.yaml", empty / "copy.yaml")
    assert not (empty / "copy.yaml").exists()
