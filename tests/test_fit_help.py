"""The help of `tsl.fit`: a screen that cannot go stale, help of every class, and the names nearest to a wrong one."""

import contextlib
import inspect
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tsl.fit import main
from tsl.fit.screen import USUAL, screen
from tsl.fit.settings import all_settings, class_path, classes_at, first_sentence

Said = Callable[..., str]


def printed(*arguments: str) -> str:
    """What `tsl.fit` prints for arguments that make it stop with status 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    return out.getvalue()


def in_yaml(value: Any) -> str:
    """A value as the screen and a config write it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


@pytest.fixture(scope="module")
def everything() -> str:
    """The full list of settings, in one line a setting."""
    return " ".join(printed("--help=all").split())


def test_the_screen_fits_a_terminal() -> None:
    lines = screen().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert printed("--config", "two_layer.yaml", "--help") == printed("-h") == screen() + "\n"


def test_the_screen_needs_no_torch() -> None:
    code = "import sys, tsl.fit\ntry:\n    tsl.fit.main(['--help'])\nexcept SystemExit:\n    pass\n"
    code += "assert not {'torch', 'numpy', 'pandas', 'yaml', 'jsonargparse'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_every_setting_on_the_screen_exists_with_its_default(everything: str) -> None:
    of_classes = {(setting.name, in_yaml(setting.default)) for setting in all_settings()}
    for usual in USUAL:
        if usual.name == "model.optimizer.lr":
            [optimizer] = {s.default for s in all_settings() if s.name == "model.optimizer"} - {inspect.Parameter.empty}
            assert in_yaml(optimizer.keywords["lr"]) == usual.default
        elif usual.name.startswith(("model.", "data.")):
            name = usual.name.replace("model.multiplier", "model.student.multiplier")
            assert any(known == name for known, _ in of_classes), usual
            assert not usual.default or (name, usual.default) in of_classes, usual
        else:
            described = everything.partition("options: -h, --help")[2]
            described = described[described.index(f" --{usual.name} ") :]
            default = described.partition("default: ")[2].partition(")")[0].partition(",")[0]
            assert not usual.default or default.lower() == usual.default, usual


def test_the_screen_says_what_takes_a_setting(everything: str) -> None:
    for words in ("--print_config", "--model.help", "--data.help", "--help=all"):
        assert words in screen()
    assert "--print_config" in everything


@pytest.mark.parametrize("group", ["model", "data"])
def test_the_classes_of_a_group_are_listed(group: str) -> None:
    said = printed(f"--{group}.help")
    for each in classes_at(group):
        assert class_path(each).startswith(f"tsl.{group.replace('model', 'modules')}.")
        assert f"{class_path(each)} " in said
        assert first_sentence(each) in said
    assert "torchmetrics" not in said


def test_help_of_every_nested_class_is_reachable() -> None:
    names = {setting.name for setting in all_settings()}
    nested = {name: classes_at(name) for name in names if name.count(".") == 1 and classes_at(name)}
    assert {"model.teacher", "model.student", "model.loss", "data.distribution", "data.augmentation"} <= nested.keys()
    reached = set()
    for name, classes in nested.items():
        assert all(class_path(each) in printed(f"--{name}.help") for each in classes)
        for each in set(classes) - reached:
            said = " ".join(printed(f"--{name}.help", class_path(each)).split())
            own = [
                argument for argument in inspect.signature(each).parameters if argument not in ("replicates", "seed")
            ]
            assert all(f"--{name}.{argument} " in said for argument in own if argument not in ("params", "optimizer"))
            reached.add(each)
    assert len(reached) > 30


def test_the_settings_of_one_group() -> None:
    said = printed("--records.help")
    assert "--records.pairs" in said
    assert "--trainer.max_epochs" not in said
    assert "--trainer.max_epochs" in printed("--trainer.help")
    assert "--checkpoint.save_top_k" in printed("--checkpoint.help")


def test_a_class_of_ones_own_by_its_import_path() -> None:
    assert "--model.optimizer.weight_decay" in printed("--model.optimizer.help", "torch.optim.AdamW")


@pytest.mark.parametrize("name", ["Nobody", "torch.optim.Nobody"])
def test_help_of_a_class_that_there_is_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model.student.help", name])
    assert f"--model.student.help {name}: expected an import path, or one of LikeTeacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("--model.multiplyer", "--model.student.multiplier"),
        ("--batchsize", "--data.batch_size"),
        ("--data.init_args.dimm", "--data.dim"),
        ("--model.teacher.widhts", "--model.teacher.widths"),
        ("--trainer.max_epoch", "--trainer.max_epochs"),
        ("--record.pairs", "--records.pairs"),
        ("--lr", "--model.optimizer.lr"),
        ("--replicate", "--replicates"),
    ],
)
def test_a_mistyped_setting_gets_the_nearest_names(wrong: str, right: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--config", "two_layer.yaml", wrong, "3"])
    said = capsys.readouterr().err
    assert said.count("\n") <= 5
    assert f"The nearest settings: {right}" in said
    assert wrong.rpartition(".")[2].lstrip("-") in said.splitlines()[0]


def test_a_name_like_no_other_says_where_all_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--config", "two_layer.yaml", "--xyzzy", "3"])
    assert "--xyzzy 3 (python -m tsl.fit --help says where all settings are listed)" in capsys.readouterr().err


def test_the_word_fit_of_lightnings_commands_is_accepted() -> None:
    command = ["--config", "two_layer.yaml", "--print_config"]
    assert printed("fit", *command) == printed(*command)
