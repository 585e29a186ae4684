"""Draw a figure from records: `python -m tsl.figures convergence runs/two_layer/* --out convergence.pdf`."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.animation import Animation, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from tsl import figures
from tsl.errors import InputError
from tsl.figures.curves import other_differences, without_repeated
from tsl.figures.style import PRINT, Canvas
from tsl.runs import Run
from tsl.runs.listing import runs_of
from tsl.runs.records import DamagedRecordsError, NoRecordsError, check_table
from tsl.runs.whole_files import written_whole

SUFFIXES = (".pdf", ".png", ".svg")
MOVING = (".gif", ".mp4")


class Entry(NamedTuple):
    """A figure on the command line.

    Args:
        help: A description of what it shows.
        options: The options that the command line passes to `draw`, by name, as keywords of `add_argument`.
        suffixes: The formats of files that it can be written to.
    """

    help: str
    options: dict[str, dict[str, Any]] = {}  # noqa: RUF012
    suffixes: tuple[str, ...] = SUFFIXES


EPOCHS = {"type": int, "nargs": "*", "metavar": "N", "help": "epochs to draw; all if none is given (default: the last)"}
EPOCH = {"type": int, "metavar": "N", "help": "epoch to draw (default: the last)"}
EARLY = {"type": int, "default": 5, "metavar": "N", "help": "epoch drawn with dotted lines (default: 5)"}
REPLICATE = {"type": int, "metavar": "R", "help": "replicate to draw (default: the first of each setting)"}
REPLICATES = {
    "type": int,
    "nargs": "+",
    "metavar": "R",
    "help": "replicates to draw (default: the first three of each setting)",
}
THEORY = {"action": "store_true", "help": "also draw the solution of the equations of learning"}

FIGURES = {
    "l-shape": Entry("strength of student nodes against their best correlation (E1, E7)", {"epochs": EPOCHS}),
    "l-shape-animation": Entry("the l-shape figure as an animation over epochs", suffixes=MOVING),
    "success-rate": Entry("how often each teacher node is recovered (E2)", {"early_epoch": EARLY}),
    "specialization-order": Entry("when each teacher node is recovered, against its strength"),
    "gradient-at-recovery": Entry("gradient sup-norm when each teacher node is recovered, against its strength"),
    "convergence": Entry("evaluation loss per epoch (E3)"),
    "trajectories": Entry("correlation of node pairs per epoch (E4)", {"replicates": REPLICATES}),
    "heat-map": Entry("correlation of every pair of nodes at an epoch", {"epoch": EPOCH, "replicate": REPLICATE}),
    "sample-size": Entry("losses and correlation of each layer against the training samples (E5, E6)"),
    "sample-needs": Entry("samples needed for recovery at ε, against d, K and ε (theorem-d, -m, -n)"),
    "best-correlation": Entry("best correlation of teacher nodes per epoch (E9)"),
    "alignment": Entry("alignment of whole layers per epoch, with its null levels (E10)"),
    "trained-teacher": Entry(
        "correlation of each layer, and accuracy, of students of a trained teacher per epoch (E8)"
    ),
    "order-parameters": Entry(
        "overlaps and exact loss of two-layer students over time (T1, T3, T4)",
        {"theory": THEORY},
    ),
    "universality": Entry("what students of several seeds have in common (tsl.callbacks.SeedRecords)"),
    "final-error": Entry("final error against the student's width, under label noise (T2)"),
    "certificate": Entry("ε granted by the theorem against ε reached (tsl.callbacks.CertificateRecords)"),
}
"""Every figure by its name; a new figure needs a module of that name in `tsl.figures` and an entry here."""


def module_of(name: str) -> ModuleType:
    """The module of a figure, with `TABLES`, the tables that it reads, and `draw(runs, **options)`."""
    module: ModuleType = getattr(figures, name.replace("-", "_"))
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one figure; an error is one line on stderr and status 2.

    Args:
        arguments: The command line without the program's name; the process's own if None.

    Returns:
        The exit status.
    """
    asked = _parser().parse_args(arguments)
    entry = FIGURES[asked.figure]
    try:
        _check_format(asked.out, entry.suffixes)
        runs = _load(asked.runs, module_of(asked.figure).TABLES)
        save(_draw(runs, asked), asked.out)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(asked.out)
    return 0


def _draw(runs: Sequence[Run], asked: argparse.Namespace) -> Canvas | Animation:
    """Draw a figure with the given title and size; a side that is not given has its default length."""
    options = {option: getattr(asked, option) for option in FIGURES[asked.figure].options}
    draw = module_of(asked.figure).draw
    drawn = draw(runs, **options)
    if isinstance(drawn, Animation):
        return drawn
    if asked.width or asked.height:
        size = asked.width or drawn.get_figwidth(), asked.height or drawn.get_figheight()
        drawn = draw(runs, **options, figure=Figure(figsize=size, layout="constrained"))
    if asked.title:
        drawn.suptitle(asked.title, fontsize=9)
    return drawn


def save(figure: Canvas | Animation, path: Path) -> None:
    """Write a figure whole or not at all, in the format of the path's suffix; make its directory if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    with written_whole(path) as temporary, mpl.rc_context(PRINT):
        if not isinstance(figure, Animation):
            figure.figure.savefig(temporary, format=suffix[1:])
            return
        writer = PillowWriter(fps=5) if suffix == ".gif" else FFMpegWriter(fps=5, extra_args=_H264)
        figure.save(temporary, writer=writer, dpi=120, progress_callback=_show_progress)


_H264 = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"]
"""Make width and height of the frames even numbers, because the format needs them."""


def _check_format(out: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before anything is drawn."""
    suffix = out.suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"--out {out}: expected a file that ends in {', '.join(suffixes)}")
    if suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError(f"--out {out}: an MP4 needs ffmpeg, which is not installed; install it, or write a .gif")


def _show_progress(frame: int, frames: int | None) -> None:
    """Show the progress of an animation, if stderr is a terminal."""
    if sys.stderr.isatty():
        print(f"\rframe {frame + 1} of {frames}", end="" if frame + 1 != frames else "\n", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tsl.figures", description="Draw a figure from records of runs.")
    commands = parser.add_subparsers(dest="figure", required=True)
    for name, entry in FIGURES.items():
        words = {option: f"--{option.replace('_', '-')}" for option in entry.options}
        values = {option: entry.options[option].get("metavar", "") for option in words}
        usage = "".join(f" [{f'{word} {values[option]}'.strip()}]" for option, word in words.items())
        look = "" if entry.suffixes == MOVING else " [--title TEXT] [--width INCHES] [--height INCHES]"
        usage = f"%(prog)s RUN [RUN ...] --out FILE{usage}{look}"
        figure = commands.add_parser(name, help=entry.help, description=entry.help, usage=usage)
        figure.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directory of a run, or of many")
        formats = ", ".join(suffix[1:].upper() for suffix in entry.suffixes)
        figure.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"file to write: {formats}")
        if entry.suffixes != MOVING:
            figure.add_argument("--title", metavar="TEXT", help="written above the panels")
            for side in ("width", "height"):
                figure.add_argument(f"--{side}", type=_inches, metavar="INCHES", help=f"{side} of the figure")
        for option, word in words.items():
            figure.add_argument(word, **entry.options[option])
    return parser


def _inches(text: str) -> float:
    """A length from 1 to 100 inches.

    Raises:
        argparse.ArgumentTypeError: If the text is not such a number.
    """
    try:
        length = float(text)
    except ValueError:
        length = math.nan
    if not 1 <= length <= 100:
        raise argparse.ArgumentTypeError(f"expected a number of inches from 1 to 100, got {text!r}")
    return length


def _load(paths: Sequence[Path], tables: Sequence[str]) -> list[Run]:
    """Load the runs. Those that cannot be drawn are left out, with a line on stderr, as long as others remain."""
    runs, failed = [], []
    paths, files = runs_of(paths)
    for path in paths:
        try:
            for table in tables:
                check_table(path, table)
            runs.append(Run(path))
        except (DamagedRecordsError, NoRecordsError) as error:
            failed.append(error)
    if not runs:
        raise failed[0]
    runs, repeated = without_repeated(runs)
    if not runs:
        raise repeated[0]
    for note in files:
        print(f"warning: left out: {note}", file=sys.stderr)
    for reason in (*failed, *repeated):
        print(f"warning: run left out: {reason}", file=sys.stderr)
    differences = [
        f"{key} ({', '.join(dict.fromkeys(str(value) for value in values))})"
        for key, values in other_differences(runs).items()
    ]
    if differences:
        print(f"warning: the runs also differ in {'; '.join(differences)}", file=sys.stderr)
    return runs


if __name__ == "__main__":
    sys.exit(main())
