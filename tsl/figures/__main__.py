"""Draw a figure from records: `python -m tsl.figures convergence runs/two_layer/* --out convergence.pdf`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tsl.errors import InputError
from tsl.figures import (
    alignment,
    best_correlation,
    certificate,
    convergence,
    l_shape,
    sample_size,
    success_rate,
    trained_teacher,
    trajectories,
)
from tsl.figures.runs import Run, other_differences, read_run
from tsl.figures.style import PRINT
from tsl.records import DamagedRecordsError, written_whole

SUFFIXES = (".pdf", ".png", ".svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one figure; errors are one line on stderr and status 2.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    asked = _parser().parse_args(arguments)
    try:
        if asked.out.suffix.lower() not in SUFFIXES:
            raise InputError(f"--out {asked.out}: the suffix says the format; expected one of {', '.join(SUFFIXES)}")
        figure = _draw(asked)
        save(figure, asked.out)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(asked.out)
    return 0


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, in the format of the path's suffix; makes the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, mpl.rc_context(PRINT):
        figure.savefig(temporary, format=path.suffix[1:].lower())


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directory of a run, with its records/")
    common.add_argument("--out", type=Path, required=True, metavar="FILE", help="PDF, PNG or SVG file to write")
    parser = argparse.ArgumentParser(prog="python -m tsl.figures", description="Draw a figure from records of runs.")
    figures = parser.add_subparsers(dest="figure", required=True)

    def add(name: str, help_line: str, options: str = "") -> argparse.ArgumentParser:
        usage = f"%(prog)s RUN [RUN ...] --out FILE{options}"
        return figures.add_parser(name, parents=[common], help=help_line, description=help_line, usage=usage)

    one = add("l-shape", "strength of student nodes against their best correlation (E1, E7)", " [--epochs [N ...]]")
    one.add_argument(
        "--epochs", type=int, nargs="*", metavar="N", help="epochs to draw, all if none is named (default: the last)"
    )
    two = add("success-rate", "how often each teacher node is recovered (E2)", " [--early-epoch N]")
    two.add_argument("--early-epoch", type=int, default=5, metavar="N", help="epoch drawn dotted (default: 5)")
    add("certificate", "ε granted by the theorem against ε reached, over training (tsl.callbacks.CertificateRecords)")
    add("sample-size", "losses and correlation of each layer against the number of training samples (E5, E6)")
    add("best-correlation", "best correlation of teacher nodes per epoch (E9)")
    add("convergence", "evaluation loss per epoch (E3)")
    add("alignment", "alignment of whole layers per epoch, beside its null levels")
    add("trained-teacher", "correlation of each layer, and accuracy, of students of a trained teacher per epoch (E8)")
    four = add("trajectories", "correlation of node pairs per epoch (E4)", " [--replicates R [R ...]]")
    four.add_argument(
        "--replicates", type=int, nargs="+", metavar="R", help="replicates to draw (default: first three)"
    )
    return parser


def _draw(asked: argparse.Namespace) -> Figure:
    if asked.figure == "l-shape":
        return l_shape.draw(_load(asked.runs, l_shape.TABLE), asked.epochs)
    if asked.figure == "success-rate":
        return success_rate.draw(_load(asked.runs, success_rate.TABLE), asked.early_epoch)
    if asked.figure == "best-correlation":
        return best_correlation.draw(_load(asked.runs, best_correlation.TABLE))
    if asked.figure == "certificate":
        return certificate.draw(_load(asked.runs, certificate.TABLE))
    if asked.figure == "sample-size":
        return sample_size.draw(_load(asked.runs, sample_size.TABLE))
    if asked.figure == "convergence":
        return convergence.draw(_load(asked.runs, convergence.TABLE))
    if asked.figure == "alignment":
        return alignment.draw(_load(asked.runs, alignment.TABLE))
    if asked.figure == "trained-teacher":
        return trained_teacher.draw(_load(asked.runs, trained_teacher.TABLE))
    return trajectories.draw(_load(asked.runs, trajectories.TABLE), asked.replicates)


def _load(paths: Sequence[Path], table: str) -> list[Run]:
    """Load the runs; those that are damaged are named on stderr and left out while others remain."""
    runs, damaged = [], []
    for path in paths:
        try:
            runs.append(read_run(path, table))
        except DamagedRecordsError as error:
            damaged.append(error)
    if not runs:
        raise damaged[0]
    for damage in damaged:
        print(f"warning: run left out: {damage}", file=sys.stderr)
    differences = [
        f"{key} ({', '.join(dict.fromkeys(str(value) for value in values))})"
        for key, values in other_differences(runs).items()
    ]
    if differences:
        print(f"warning: the runs also differ in {'; '.join(differences)}", file=sys.stderr)
    return runs


if __name__ == "__main__":
    sys.exit(main())
