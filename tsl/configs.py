"""The configs that tsl ships: `python -m tsl.configs` lists them, `… copy two_layer.yaml` copies one to edit it.

In a checkout they are the files of `configs/`; an installed tsl has them in a folder beside this file.
"""

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from tsl.errors import InputError

ORDER = {
    "Complete configs:": "complete",
    "Overlays, given after a complete config (their comments name it):": "overlay",
    "For `tsl sweep`:": "sweep",
    "For `wandb sweep`:": "wandb sweep",
}
"""The headings of the list, and the kind of config under each."""


def config_directory() -> Path:
    """The directory of the shipped configs."""
    installed = Path(__file__).with_name("shipped_configs")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "configs"


def shipped_configs() -> list[str]:
    """The names of the shipped configs, such as "E5/aware.yaml"; numbers in names are sorted by their size."""

    def parts(name: str) -> list[tuple[bool, int, str]]:
        words = re.findall(r"\d+|[^\d/]+|/", name.removesuffix(".yaml"))
        return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words]

    directory = config_directory()
    return sorted((path.relative_to(directory).as_posix() for path in directory.glob("**/*.yaml")), key=parts)


def find_config(name: str | Path) -> Path:
    """The file that a config's name means: the file at that path, or else the shipped config of that name.

    Raises:
        InputError: If neither exists.
    """
    path = Path(name)
    return path if path.exists() and not path.is_dir() else shipped_config(name)


def shipped_config(name: str | Path) -> Path:
    """The file of a shipped config.

    Args:
        name: Its name, with or without `configs/` in front of it.

    Raises:
        InputError: If there is none; the message lists the shipped configs with the nearest names.
    """
    path, shipped = Path(name), shipped_configs()
    asked = path.as_posix().removeprefix("configs/")
    if asked in shipped:
        return config_directory() / asked
    by_file = [each for each in shipped if Path(each).stem == path.stem]  # in another folder, or without its suffix
    nearest = by_file or difflib.get_close_matches(asked, shipped, n=3, cutoff=0.5)
    hint = f"; the nearest are {', '.join(nearest)}" if nearest else ""
    raise InputError(
        f"config {name}: no such file, and tsl ships no config of that name{hint} (python -m tsl.configs lists all)"
    )


def find_configs(arguments: Sequence[str]) -> list[str]:
    """A command line of `tsl.fit` in which `find_config` has replaced the name after every `--config` by its file.

    Settings written as YAML text, and URLs, stay unchanged.
    """
    found: list[str] = []
    for word in arguments:
        option, equals, value = word.partition("=")
        if found and found[-1] in ("-c", "--config") and not re.search(r"[:{\n]", word):
            found.append(str(find_config(word)))
        elif equals and option in ("-c", "--config") and not re.search(r"[:{\n]", value):
            found.append(f"{option}={find_config(value)}")
        else:
            found.append(word)
    return found


def what_it_shows(name: str) -> str:
    """The first line of a shipped config, a comment that says what it shows."""
    return (config_directory() / name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def time_it_takes(name: str) -> str:
    """The time and hardware that a shipped config needs: its second line, a comment that begins with "Time:"."""
    return (config_directory() / name).read_text(encoding="utf-8").splitlines()[1].removeprefix("# Time: ")


def kind(name: str) -> str:
    """Whether a shipped config is "complete", an "overlay" for a complete one, a "sweep", or a "wandb sweep"."""
    settings = yaml.safe_load((config_directory() / name).read_text(encoding="utf-8"))
    if "program" in settings:
        return "wandb sweep"
    if "axes" in settings:
        return "sweep"
    return "complete" if "class_path" in settings.get("model", {}) else "overlay"


def list_configs() -> None:
    """Print every shipped config, what it shows, and the time and hardware that it needs."""
    names = shipped_configs()
    width = max(map(len, names))
    for heading, wanted in ORDER.items():
        print(heading)
        for name in names:
            if kind(name) == wanted:
                print(f"  {name:{width}}  {what_it_shows(name)}\n  {'':{width}}  Time: {time_it_takes(name)}")


def copy_config(name: str, to: Path) -> Path:
    """Copy a shipped config to a file, or into a directory under its own name.

    Returns:
        The file that was written.

    Raises:
        InputError: If no config of that name is shipped, or the target exists.
    """
    source = shipped_config(name)
    target = to / source.name if to.is_dir() else to
    try:
        with source.open("rb") as original, target.open("xb") as copy:
            shutil.copyfileobj(original, copy)
    except FileExistsError:
        raise InputError(f"{target} already exists: move it away, or name another file to copy to") from None
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tsl.configs", description="List the configs that tsl ships.")
    copy = parser.add_subparsers(dest="command").add_parser("copy", help="copy a shipped config, to edit it")
    copy.add_argument("config", metavar="CONFIG", help="name in the list, such as two_layer.yaml")
    copy.add_argument("to", type=Path, nargs="?", default=Path(), metavar="TO", help="file or folder (default: .)")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "copy":
            print(copy_config(asked.config, asked.to))
        else:
            list_configs()
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
