"""Draw a figure from records: `python -m tsl.figures convergence runs/two_layer/* --out convergence.pdf`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.animation import Animation, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from tsl.errors import InputError
from tsl.figures import (
    alignment,
    best_correlation,
    certificate,
    convergence,
    final_error,
    gradient_at_recovery,
    heat_map,
    l_shape,
    l_shape_animation,
    order_parameters,
    sample_needs,
    sample_size,
    specialization_order,
    success_rate,
    trained_teacher,
    trajectories,
    universality,
)
from tsl.figures.curves import other_differences, without_repeated
from tsl.figures.style import PRINT
from tsl.runs import Run
from tsl.runs.records import DamagedRecordsError, NoRecordsError, check_table
from tsl.runs.whole_files import written_whole

SUFFIXES = (".pdf", ".png", ".svg")
MOVING = (".gif", ".mp4")


class Entry(NamedTuple):
    """A figure on the command line.

    Args:
        module: Has `TABLES`, which it reads, and `draw(runs, **options)`.
        help: What it shows.
        options: What the command line gives to `draw`, by the argument's name: keywords of `add_argument`.
        suffixes: Formats it can be written in.
    """

    module: ModuleType
    help: str
    options: dict[str, dict[str, Any]] = {}  # noqa: RUF012
    suffixes: tuple[str, ...] = SUFFIXES


EPOCHS = {"type": int, "nargs": "*", "metavar": "N", "help": "epochs to draw, all if none is named (default: the last)"}
EPOCH = {"type": int, "metavar": "N", "help": "epoch to draw (default: the last)"}
EARLY = {"type": int, "default": 5, "metavar": "N", "help": "epoch drawn dotted (default: 5)"}
REPLICATE = {"type": int, "metavar": "R", "help": "replicate to draw (default: the first of each setting)"}
REPLICATES = {
    "type": int,
    "nargs": "+",
    "metavar": "R",
    "help": "replicates to draw (default: the first three of each setting)",
}
THEORY = {"action": "store_true", "help": "draw the solution of the equations of learning too"}

FIGURES = {
    "l-shape": Entry(l_shape, "strength of student nodes against their best correlation (E1, E7)", {"epochs": EPOCHS}),
    "l-shape-animation": Entry(l_shape_animation, "the same, moving from epoch to epoch", suffixes=MOVING),
    "success-rate": Entry(success_rate, "how often each teacher node is recovered (E2)", {"early_epoch": EARLY}),
    "specialization-order": Entry(specialization_order, "when each teacher node is recovered, against its strength"),
    "gradient-at-recovery": Entry(
        gradient_at_recovery, "gradient sup-norm when each teacher node is recovered, against its strength"
    ),
    "convergence": Entry(convergence, "evaluation loss per epoch (E3)"),
    "trajectories": Entry(trajectories, "correlation of node pairs per epoch (E4)", {"replicates": REPLICATES}),
    "heat-map": Entry(
        heat_map, "correlation of every pair of nodes at an epoch", {"epoch": EPOCH, "replicate": REPLICATE}
    ),
    "sample-size": Entry(sample_size, "losses and correlation of each layer against the training samples (E5, E6)"),
    "sample-needs": Entry(sample_needs, "samples needed for recovery at ε, against d, K and ε (theorem-d, -m, -n)"),
    "best-correlation": Entry(best_correlation, "best correlation of teacher nodes per epoch (E9)"),
    "alignment": Entry(alignment, "alignment of whole layers per epoch, beside its null levels (E10)"),
    "trained-teacher": Entry(
        trained_teacher, "correlation of each layer, and accuracy, of students of a trained teacher per epoch (E8)"
    ),
    "order-parameters": Entry(
        order_parameters, "overlaps and exact loss of two-layer students over time (T1, T3, T4)", {"theory": THEORY}
    ),
    "universality": Entry(universality, "what students of several seeds have in common (tsl.callbacks.SeedRecords)"),
    "final-error": Entry(final_error, "final error against the student's width, under label noise (T2)"),
    "certificate": Entry(certificate, "ε granted by the theorem against ε reached (tsl.callbacks.CertificateRecords)"),
}
"""Every figure by its name; a new figure is an entry here, and a module beside the others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one figure; errors are one line on stderr and status 2.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    asked = _parser().parse_args(arguments)
    entry = FIGURES[asked.figure]
    try:
        _check_format(asked.out, entry.suffixes)
        runs = _load(asked.runs, entry.module.TABLES)
        save(entry.module.draw(runs, **{option: getattr(asked, option) for option in entry.options}), asked.out)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(asked.out)
    return 0


def save(figure: Figure | Animation, path: Path) -> None:
    """Write a figure whole or not at all, in the format of the path's suffix; makes the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    with written_whole(path) as temporary, mpl.rc_context(PRINT):
        if isinstance(figure, Figure):
            figure.savefig(temporary, format=suffix[1:])
            return
        writer = PillowWriter(fps=5) if suffix == ".gif" else FFMpegWriter(fps=5, extra_args=_H264)
        figure.save(temporary, writer=writer, dpi=120, progress_callback=_show_progress)


_H264 = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"]
"""Makes width and height of the frames even, as this format needs them."""


def _check_format(out: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before anything is drawn."""
    suffix = out.suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"--out {out}: expected a file that ends in {', '.join(suffixes)}")
    if suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError(f"--out {out}: an MP4 needs ffmpeg, which is not installed; install it, or write a .gif")


def _show_progress(frame: int, frames: int | None) -> None:
    """Show how far an animation is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\rframe {frame + 1} of {frames}", end="" if frame + 1 != frames else "\n", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tsl.figures", description="Draw a figure from records of runs.")
    figures = parser.add_subparsers(dest="figure", required=True)
    for name, entry in FIGURES.items():
        words = {option: f"--{option.replace('_', '-')}" for option in entry.options}
        values = {option: entry.options[option].get("metavar", "") for option in words}
        usage = "".join(f" [{f'{word} {values[option]}'.strip()}]" for option, word in words.items())
        usage = f"%(prog)s RUN [RUN ...] --out FILE{usage}"
        figure = figures.add_parser(name, help=entry.help, description=entry.help, usage=usage)
        figure.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directory of a run, with its records/")
        formats = ", ".join(suffix[1:].upper() for suffix in entry.suffixes)
        figure.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"file to write: {formats}")
        for option, word in words.items():
            figure.add_argument(word, **entry.options[option])
    return parser


def _load(paths: Sequence[Path], tables: Sequence[str]) -> list[Run]:
    """Load the runs; those that cannot be drawn are named on stderr and left out while others remain."""
    runs, failed = [], []
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
