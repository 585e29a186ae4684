"""Write the pages of the site that are made from the code into `docs/generated/`; `docs/conf.py` calls it.

Classes, functions, settings, commands, records and published numbers are read from the package, so that the pages
always agree with it.
"""

import inspect
import io
import json
import os
import pkgutil
import re
import runpy
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unittest.mock import patch

import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torchmetrics import Metric

import tsl
from tsl.__main__ import COMMANDS
from tsl.data import Augmentation, InputDistribution
from tsl.experiments.statistic import References
from tsl.fit import main as fit
from tsl.fit.command_line import TeacherStudentCLI
from tsl.networks import Initialization
from tsl.runs.records import COLUMNS, MORE_COLUMNS, ON_REQUEST

DOCS = Path(__file__).parent
GENERATED = DOCS / "generated"

KINDS: dict[str, Any] = {
    "Models: `model`": LightningModule,
    "Data: `data`": LightningDataModule,
    "Distributions of inputs: `data.init_args.distribution`": InputDistribution,
    "Augmentations: `data.init_args.augmentation`": Augmentation,
    "Initializations: `model.init_args.teacher_initialization`, `student_initialization`": Initialization,
    "Measures: `records.alignments`": Metric,
    "Networks, and terms of objectives: `model.init_args.teacher`, `student`, `loss`": nn.Module,
    "Callbacks: `trainer.callbacks`": Callback,
    "Loggers: `trainer.logger`": Logger,
    "Widths of students, objectives, optimizers and schedules: `model.init_args`": object,
}
"""The headings of the classes that a config can name by class_path, and the base class of those under each."""

NOT_OF_CONFIGS = ("tsl.runs", "tsl.compare", "tsl.figures", "tsl.metrics.functional")
LINKED = {"replicates", "seed"}
"""Arguments that `tsl.fit` sets from `replicates` and `seed_everything`."""

WORDS = {
    "PositiveInt": "integer ≥ 1",
    "NonNegativeInt": "integer ≥ 0",
    "PositiveFloat": "number > 0",
    "NonNegativeFloat": "number ≥ 0",
    "OpenUnitInterval": "number between 0 and 1",
    "ClosedUnitInterval": "number from 0 to 1",
    "NoneType": "null",
    "bool": "true or false",
    "int": "integer",
    "float": "number",
    "str": "text",
}
"""The names of types in jsonargparse and Python, and the words for them on the pages."""


def main() -> None:
    """Write all pages. A page without changes is not written, so that Sphinx does not read it again."""
    found = pkgutil.walk_packages(tsl.__path__, "tsl.")
    packages = [tsl, *(import_module(each.name) for each in found if each.ispkg)]
    pages = {f"api/{package.__name__}.md": api_page(package) for package in packages}
    pages |= {"settings.md": settings_page(), "classes.md": classes_page(packages)}
    pages |= {"commands.md": commands_page(), "records.md": records_page()}
    pages |= {f"published/{name}.md": published_table(name) for name in map("E{}".format, range(1, 11))}
    for name, text in pages.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


# Classes and functions ------------------------------------------------------------------------------------------------


def public_names(package: ModuleType) -> list[str]:
    """The classes, functions and constants in a package's `__all__`."""
    names = getattr(package, "__all__", ())
    return sorted(name for name in names if not isinstance(getattr(package, name), ModuleType))


def own_names(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", None) == module.__name__
    ]


def modules(package: ModuleType) -> list[ModuleType]:
    """The modules of a package, without its subpackages and its `__main__`."""
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [import_module(each.name) for each in found if not each.ispkg and not each.name.endswith("__main__")]


def api_page(package: ModuleType) -> str:
    """The page of a package: first the names in its `__all__`, then everything else that its modules define."""
    shown = public_names(package)
    blocks = [f"# {package.__name__}", directive("automodule", package.__name__, "no-index")]
    blocks += [documented(package, name) for name in shown]
    for module in modules(package):
        rest = [name for name in own_names(module) if getattr(package, name, None) is not getattr(module, name)]
        if rest:
            blocks += [f"## {module.__name__}", directive("automodule", module.__name__, "no-index")]
            blocks += [documented(module, name) for name in rest]
    return "\n\n".join(blocks) + "\n"


def documented(module: ModuleType, name: str) -> str:
    """The directive that documents a class with its methods, a function, or a constant."""
    path = f"{module.__name__}.{name}"
    if inspect.isclass(getattr(module, name)):
        return directive("autoclass", path, "members")
    return (
        directive("autofunction", path) if callable(getattr(module, name)) else directive("autodata", path, "no-value")
    )


def directive(name: str, argument: str, *options: str) -> str:
    """A directive of autodoc, which is written in reStructuredText, on a Markdown page."""
    lines = [f".. {name}:: {argument}", *(f"   :{option}:" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])


# Settings -------------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Every key of a config outside `model` and `data`, from the parser of `tsl.fit` itself."""
    found: list[Any] = []

    def keep(cli: TeacherStudentCLI, parser: Any, args: Any) -> None:
        found.append(cli._parser("fit"))
        raise SystemExit

    with patch.object(TeacherStudentCLI, "parse_arguments", keep), suppress(SystemExit):
        fit(["--config", "two_layer.yaml"])
    groups: dict[str, list[Any]] = {"": [], "records": [], "trainer": [], "checkpoint": []}
    for action in settings(found[0]):
        groups[action.dest.rpartition(".")[0]].append(action)
    titles = {
        "": "Of the run",
        "records": "What is measured: `records`",
        "trainer": "Lightning's Trainer: `trainer`",
        "checkpoint": "Lightning's ModelCheckpoint: `checkpoint`",
    }
    blocks = [
        "# Settings of a config",
        "These are the keys of a config and of the command line (`--records.pairs true`). `model` and `data` name "
        "a class by `class_path`, and give its arguments as `init_args`: see [](classes.md). On the command line you "
        "may leave out both words: `--model.multiplier 2`.",
    ]
    for group, actions in groups.items():
        blocks += [f"## {titles[group]}", described(actions, first_sentence=group != "records")]
    return "\n\n".join(blocks) + "\n"


def classes_page(packages: Iterable[ModuleType]) -> str:
    """Every class of tsl that a config can name, with its arguments."""
    by_kind: dict[str, list[str]] = {heading: [] for heading in KINDS}
    for package in packages:
        for name in public_names(package):
            thing = getattr(package, name)
            if package.__name__ in NOT_OF_CONFIGS or not inspect.isclass(thing) or inspect.isabstract(thing):
                continue
            heading = next(heading for heading, base in KINDS.items() if issubclass(thing, base))
            if KINDS[heading] is object and package.__name__ not in ("tsl.modules", "tsl.networks"):
                continue
            if arguments := class_arguments(thing):
                path = f"{package.__name__}.{name}"
                summary = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
                by_kind[heading].append(f"### {path}\n\n{summary}\n\n{described(arguments)}")
    intro = (
        "# Classes that a config can name\n\nA config names each class by `class_path`, and gives its arguments as "
        "`init_args`. The arguments `replicates` and `seed` are not listed, because a config sets them once for model "
        "and data, as `replicates` and `seed_everything`."
    )
    sections = [f"## {heading}\n\n" + "\n\n".join(blocks) for heading, blocks in by_kind.items() if blocks]
    return "\n\n".join([intro, *sections]) + "\n"


def class_arguments(thing: type) -> list[Any]:
    """The arguments of a class whose docstring describes them, as jsonargparse reads them."""
    if "Args:" not in (inspect.getdoc(thing) or ""):
        return []
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(thing, fail_untyped=False, skip=LINKED)
    return settings(parser)


def settings(parser: Any) -> list[Any]:
    """The settings of a parser, without options that only print something and without whole groups."""
    hidden = ("help", "config", "print_config", "model", "data")
    return [
        action
        for action in parser._actions
        if action.dest not in hidden and not action.dest.endswith(".help") and getattr(action, "_typehint", None)
    ]


def described(actions: Iterable[Any], first_sentence: bool = False) -> str:
    """A definition of each setting: key, kind of value, default and meaning."""
    items = []
    for action in actions:
        default = "required" if action.required else f"default `{in_yaml(action.default)}`"
        kind = kind_of_value(action._typehint)
        items.append(f"`{action.dest}` ({kind}; {default})\n: {meaning(action.help, first_sentence)}")
    return "\n\n".join(items)


def kind_of_value(hint: Any) -> str:
    """A type hint in words: "integer ≥ 1 or null"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{kind_of_value(inner[0])}; {inner[1]}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(kind_of_value, inner)))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (list, Sequence, Iterable):
        return f"list of {kind_of_value(inner[0])}"
    if origin in (dict, Mapping):
        return f"names, each with {kind_of_value(inner[1])}"
    if origin is Callable:  # what makes an object is named by the object's class
        return (
            f"`{inner[-1].__name__}`" if inspect.isclass(inner[-1]) and inner[-1] not in (Any, Tensor) else "function"
        )
    name = getattr(hint, "__name__", str(hint))
    return WORDS.get(name, f"`{name}`")


def in_yaml(value: Any) -> str:
    """A default value as it would be written in a config."""
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return " ".join(yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").split())
    function = getattr(value, "func", value)
    given = "".join(f", {key} = {each}" for key, each in getattr(value, "keywords", {}).items())
    return f"{getattr(function, '__name__', function)}{given}"


def meaning(text: str | None, first_sentence: bool) -> str:
    """An argument's description on a page: the whole text, or only its first sentence, as for Lightning's settings."""
    text = re.sub(r"``([^`]*)``", r"`\1`", text or "")
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    if first_sentence:
        text = re.sub(r"^Defaults to `\w+`\. ", "", text)
        text = re.split(r"\n\n|\n?Default:|(?<=\.)\s|(?<=\.)(?=[A-Z])", text, maxsplit=1)[0]
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"[*_<]", r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts) or "No description."


# Commands -------------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """What every command prints with `--help`."""
    texts = {name: output_of(module, "--help") for name, (module, _) in COMMANDS.items()}
    blocks = [
        "# Commands",
        "`tsl fit` is the same as `python -m tsl.fit`, and so on. This is what each command prints with `--help`.",
        *(f"## tsl {name}\n\n{COMMANDS[name][1].capitalize()}.\n\n{listing(text)}" for name, text in texts.items()),
        f"## Shipped configs\n\n`tsl configs` prints this list:\n\n{listing(output_of('tsl.configs'))}",
    ]
    return "\n\n".join(blocks) + "\n"


def output_of(module: str, *arguments: str) -> str:
    """What a command prints. It is run in this process, so that its imports are made only once for all commands.

    Raises:
        RuntimeError: If it fails.
    """
    printed = io.StringIO()
    with (
        patch.object(sys, "argv", [module, *arguments]),
        patch.dict(os.environ, COLUMNS="110"),
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),  # the module is imported already
        redirect_stdout(printed),
    ):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"python -m {module} {' '.join(arguments)} ended with {end.code}") from end
    return printed.getvalue()


def listing(text: str) -> str:
    """A command's output on a page."""
    return f"```text\n{text.rstrip()}\n```"


# Records and published numbers ----------------------------------------------------------------------------------------


def records_page() -> str:
    """Every table of a run's records with its columns, described by `docs/reference/records.yaml`.

    Raises:
        ValueError: If a table or column has no description there, or a description has no table or column.
    """
    words = yaml.safe_load((DOCS / "reference" / "records.yaml").read_text(encoding="utf-8"))
    blocks = ["# Tables of records", words["introduction"]]
    if words["tables"].keys() != COLUMNS.keys():
        raise ValueError(
            f"reference/records.yaml: other tables than COLUMNS: {words['tables'].keys() ^ COLUMNS.keys()}"
        )
    for name, columns in COLUMNS.items():
        of_table = words["columns"] | words["tables"][name].get("columns", {})
        lacking = [column for column in columns if column not in of_table]
        gone = words["tables"][name].get("columns", {}).keys() - {*columns, *words["optional"].get(name, ())}
        if lacking or gone:
            raise ValueError(f"reference/records.yaml, {name}: no words for {lacking}; words for no column: {gone}")
        rows = [f"| `{column}` | {of_table[column]} |" for column in columns]
        if name in MORE_COLUMNS:
            rows += [f"| {column} | {text} |" for column, text in words["optional"][name].items()]
        written = f" Not every run has it. If a run lacks it: {ON_REQUEST[name]}." if name in ON_REQUEST else ""
        blocks.append(f"## {name}\n\n{words['tables'][name]['what']}{written}")
        blocks.append("\n".join(["| column | meaning |", "| --- | --- |", *rows]))
    return "\n\n".join(blocks) + "\n"


def published_table(experiment: str) -> str:
    """A table of an experiment's published numbers and of those measured, from `docs/results/<experiment>.json`."""
    published = yaml.safe_load((DOCS.parent / "configs" / "published.yaml").read_text(encoding="utf-8"))
    results = DOCS / "results" / f"{experiment}.json"
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"] if results.exists() else []
    lines = []
    for entry in published.get(experiment, ()):
        where = ", ".join(f"{axis} {value}" for axis, value in entry["where"].items())
        asked = {axis: str(value) for axis, value in entry["where"].items()}
        found = [row["statistics"].get(entry["statistic"]) for row in rows if asked.items() <= row["cell"].items()]
        measured = [f"{each['in_words']} ({each['verdict']})" for each in found if each and "verdict" in each]
        reference = References(experiment).find(asked, entry["statistic"])
        lines.append(
            f"| {where} | {entry['statistic']} | {reference.in_words if reference else ''} | "
            f"{'; '.join(measured) or 'not run at this scale'} | {entry['source']} |"
        )
    if not lines:
        return "There are no published numbers to compare this experiment with.\n"
    return (
        "\n".join(["| cell | statistic | published | measured | read from |", "| --- |" + " --- |" * 4, *lines]) + "\n"
    )
