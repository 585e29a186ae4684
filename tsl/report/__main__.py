"""Write a report of runs: `python -m tsl.report runs/two_layer/* --out report.html`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tsl.errors import InputError
from tsl.report.page import make_page
from tsl.report.runs import read_runs
from tsl.runs.whole_files import written_whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; warnings on stderr and notes in the report name what is left out.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit status: 2 if nothing could be drawn or written.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tsl.report", description="Write one HTML file about runs, that opens anywhere."
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directory of a run, or of many")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="HTML file to write")
    asked = parser.parse_args(arguments)
    try:
        write_report(asked.runs, asked.out)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(asked.out)
    return 0


def write_report(paths: Sequence[Path], out: Path) -> None:
    """Write a report of runs, with warnings on stderr that name what is left out.

    Args:
        paths: Directories of runs, or of many.
        out: The HTML file.

    Raises:
        InputError: If none of the runs can be drawn, or the file's name does not end in .html.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: expected a file that ends in .html")
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(out) as temporary:
        temporary.touch()  # fails before the runs are read if it cannot be written
        runs, notes = read_runs(paths)
        if not runs:
            raise InputError("; ".join(notes))
        for note in notes:
            print(f"warning: left out: {note}", file=sys.stderr)
        temporary.write_text(make_page(runs, [f"left out: {note}" for note in notes]), encoding="utf-8")
        for run in runs:
            for note in dict.fromkeys(run.notes):
                print(f"warning: {run.name}: {note}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
