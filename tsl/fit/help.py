"""`--model.help`, `--model.student.help CLASS`, `--trainer.help`, and the settings nearest to a wrong name."""

import re
from argparse import SUPPRESS
from collections.abc import Sequence
from importlib import import_module

from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

from tsl.errors import InputError
from tsl.fit.settings import FILLED_IN, all_settings, class_path, classes_at, first_sentence, nearest_settings

GROUPS = ("trainer", "records", "checkpoint")
"""The groups of settings that are arguments of one class each."""

REFUSED = re.compile(r"unrecognized arguments: --([\w.]+)|(?:Option|[Kk]ey) '([\w.]+)' is not (?:accepted|expected)")
"""jsonargparse's messages about a setting that does not exist."""


def show_help(arguments: Sequence[str], parser: LightningArgumentParser) -> bool:
    """Print the help that the first `--NAME.help [CLASS]` of a command line asks for.

    Returns:
        Whether it was printed; if not, jsonargparse has to handle the command line.

    Raises:
        InputError: If the setting cannot name that class.
    """
    for index, word in enumerate(arguments):
        if not (asked := re.fullmatch(r"--([\w.]+)\.help(?:=(.*))?", word)):
            continue
        name, value = asked[1].replace(".init_args", ""), asked[2]
        following = arguments[index + 1 : index + 2]
        if value is None and following and not following[0].startswith("-"):
            value = following[0]
        classes = classes_at(name)
        if name in GROUPS:
            show_group(parser, name)
        elif not classes:
            return False
        elif value is None:
            show_classes(name, classes)
        else:
            show_class(name, value, classes)
        return True
    return False


def show_classes(name: str, classes: Sequence[type]) -> None:
    """Print the classes that a setting may name, and what each of them is."""
    paths = [class_path(each) for each in classes]
    width = max(map(len, paths))
    print(f"--{name} names one of these classes, or one of your own by its import path:\n")
    for each, path in zip(classes, paths, strict=True):
        print(f"  {path:{width}}  {first_sentence(each)}")
    print(f"\nSettings of a class: python -m tsl.fit --{name}.help {classes[0].__name__}")


def show_class(name: str, asked: str, classes: Sequence[type]) -> None:
    """Print the settings of a class, which is given by its import path or, if it is one of tsl's, by its name.

    Raises:
        InputError: If there is no such class.
    """
    chosen = next((each for each in classes if asked in (class_path(each), each.__name__)), None)
    if chosen is None:
        try:
            module, _, class_name = asked.rpartition(".")
            chosen = getattr(import_module(module), class_name)
        except (ImportError, AttributeError, ValueError):
            known = ", ".join(each.__name__ for each in classes)
            raise InputError(f"--{name}.help {asked}: expected an import path, or one of {known}") from None
    parser = ArgumentParser(usage=SUPPRESS, add_help=False)
    parser.add_class_arguments(chosen, name, fail_untyped=False, skip={*FILLED_IN})
    print(parser.format_help().strip())


def show_group(parser: LightningArgumentParser, name: str) -> None:
    """Print the settings of one group: the section of the full help that has them."""
    sections = parser.format_help().split("\n\n")
    print("\n\n".join(section for section in sections if re.search(rf"^  --{name}[ .]", section, re.MULTILINE)))


def nearest(said: str, parser: LightningArgumentParser) -> str:
    """The end of a message of jsonargparse: the settings nearest to the refused one, or where all settings are listed.

    Args:
        said: The message, shortened by `tsl.mistakes.in_short`.
        parser: The parser of `fit`.
    """
    if refused := REFUSED.search(said):
        within = re.match(r"([\w.]+): ", said)
        wrong = ".".join(filter(None, [within and within[1], refused[1] or refused[2]]))
        options = [option.lstrip("-") for option in parser._option_string_actions if option.startswith("--")]
        known = [option for option in options if not option.endswith(("+", "help"))]
        if names := nearest_settings(wrong, [*known, *(setting.name for setting in all_settings())]):
            return f"\nThe nearest settings: --{', --'.join(names)}"
    return " (python -m tsl.fit --help says where all settings are listed)"
