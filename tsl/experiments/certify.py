"""Compare a trained two-layer run with the theorem: `python -m tsl.certify runs/certificate/version_0`.

The result is, for each teacher node, the ε that the theorem grants on the training inputs, the ε that the student's
weights reached, and what follows. It is printed as a table, written to a file (one row for each replicate and teacher
node, with the columns of `tsl.theory.certificate.Certificate`), and drawn as a figure beside that file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import PositiveFloat
from rich import box
from rich.console import Console
from rich.table import Table

from tsl.callbacks.certificate_records import CertificateMeasures, certificate_frame
from tsl.errors import InputError
from tsl.figures import certificate as figure
from tsl.figures.__main__ import save
from tsl.modules.load_run import LoadedRun, load_run
from tsl.modules.teacher_student import Observation
from tsl.runs import Run
from tsl.runs.whole_files import written_whole
from tsl.theory.bounds import gradient_factor

SUFFIXES = (".parquet", ".csv")


@torch.no_grad()
def certify(run: LoadedRun, c: float, bias_scale: float) -> pd.DataFrame:
    """The certificate of a run at its last checkpoint; raises InputError for networks of more than two layers."""
    measures = CertificateMeasures(run.module)
    networks = run.module.teacher, run.module.student
    for inputs in run.train_batches():
        measures.update(run.module.student, Observation(*(network.activations(inputs) for network in networks)))
    return certificate_frame(measures.certificate(run.module, c, bias_scale), run.epoch)


def node_table(frame: pd.DataFrame, setting: str = "") -> Table:
    """A table with a row for each teacher node: medians over replicates, and counts of replicates.

    The counts say in how many replicates the node is observed, in how many the condition holds, and in how many of the
    latter the conclusion holds as well.

    Args:
        frame: The certificate of replicates with the same settings.
        setting: The setting by which they differ from other replicates, for the title.
    """
    replicates = frame["replicate"].nunique()
    over = f", median of {replicates} replicates" if replicates > 1 else ""
    title = f"The theorem at epoch {frame['epoch'].iloc[0]}, on the training inputs{over}"
    title += f", {setting}" if setting else ""
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    medians = {
        "α": "alpha",
        "‖g_1‖∞": "gradient_sup_norm",
        "granted ε": "granted_epsilon",
        "reached ε": "reached_epsilon",
    }
    for heading in ("node", *medians, "observed", "condition", "conclusion"):
        table.add_column(heading, justify="right")
    for node, rows in frame.groupby("node"):
        numbers = [f"{rows[column].median():.2g}" for column in medians.values()]
        observed, condition = (f"{rows[column].sum()}/{replicates}" for column in ("observed", "condition"))
        conclusion = f"{(rows['condition'] & rows['conclusion']).sum()}/{rows['condition'].sum()}"
        table.add_row(str(node), *numbers, observed, condition, conclusion if rows["condition"].any() else "–")
    return table


def sentences(frame: pd.DataFrame, sizes: tuple[int, int, int], c: float) -> list[str]:
    """The certificate in words: a sentence for each outcome that occurs.

    Args:
        frame: The certificate.
        sizes: Teacher nodes m, input dimension d and student nodes n.
        c: The constant of the gradient condition.
    """
    teacher_nodes, dim, student_nodes = sizes
    at = f"At K = {teacher_nodes + student_nodes}, d = {dim}, c = {c:g}"
    found = []
    for outcome, chosen in (figure.outcomes(frame) | {"unobserved": ~frame["observed"]}).items():
        rows = frame[chosen]
        if rows.empty:
            continue
        granted, reached = (span(rows[name]) for name in ("granted_epsilon", "reached_epsilon"))
        needed, measured = span(rows["alpha"] / gradient_factor(*sizes, c)), span(rows["gradient_sup_norm"])
        words = {
            "certified": f"{at} the theorem grants ε = {granted}, and the weights reached ε = {reached}: condition and "
            "conclusion hold",
            "vacuous": f"{at} the theorem grants ε = {granted} ≥ 1: vacuous, because no sine exceeds 1. Its condition "
            f"would need ‖g_1‖∞ < {needed}, but ‖g_1‖∞ is {measured}; the weights reached ε = {reached}",
            "conclusion fails": f"{at} the theorem would grant ε = {granted}, but the weights reached only ε = "
            f"{reached}: the condition holds and the conclusion does not, so these inputs do not meet the theorem's "
            "assumption (augmented inputs, dense enough to separate hyperplanes this close)",
            "unobserved": "No student node observes the teacher node on the training inputs, so the theorem says "
            f"nothing; the weights reached ε = {reached}",
        }
        found.append(f"{len(rows)} of {len(frame)} teacher nodes: {words[outcome]}.")
    return found


def span(values: pd.Series) -> str:
    """The least and the greatest of some numbers, to two digits: "1.2e-12 to 0.5", or one number if they agree."""
    least, most = f"{values.min():.2g}", f"{values.max():.2g}"
    return least if least == most else f"{least} to {most}"


def over_training(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """The run's own records of its certificate if their last epoch agrees with this certificate; else this one."""
    if not run.recorded_epochs("certificate"):
        return frame
    recorded = run.table("certificate")
    last = recorded[recorded["epoch"] == frame["epoch"].iloc[0]]
    epsilons = ["granted_epsilon", "reached_epsilon"]
    # Rounding differs with the size of evaluation batches, and a gradient of 1e-15 is rounding alone.
    same = len(last) == len(frame) and np.allclose(last[epsilons], frame[epsilons], rtol=1e-3, atol=1e-9)
    return recorded if same else frame


def write(frame: pd.DataFrame, out: Path) -> None:
    """Write the table whole or not at all, in the format of the path's suffix; make its directory if it is missing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(out) as temporary:
        if out.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.certify", description="Compare a trained two-layer run with the theorem."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a run, with config.yaml and checkpoints/")
    parser.add_argument("--c", type=PositiveFloat, default=5.0, help="constant of the gradient condition (default: 5)")
    scale = "M of ε-alignment: bias gap allowed for each unit of sine (default: 1)"
    parser.add_argument("--bias-scale", type=PositiveFloat, default=1.0, metavar="M", help=scale)
    file = "table to write, .parquet or .csv, with the figure as PDF beside it (default: RUN/certificate.parquet)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=file)
    asked = parser.parse_args(arguments)
    out = asked.out or asked.run / "certificate.parquet"
    console = Console(highlight=False, markup=False)
    try:
        if out.suffix not in SUFFIXES:
            raise InputError(f"--out {out}: expected a file that ends in {', '.join(SUFFIXES)}")
        loaded = load_run(asked.run)
        frame = certify(loaded, asked.c, asked.bias_scale)
        run = Run(asked.run, tables={"certificate": over_training(Run(asked.run), frame)})
        picture = figure.draw([run])
        write(frame, out)
        save(picture, out.with_suffix(".pdf"))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    (m,), (n,), (d,) = loaded.module.teacher.widths, loaded.module.student.widths, loaded.module.teacher.input_shape
    for group in run.groups:
        console.print(node_table(group.rows(frame), group.label))
        for sentence in sentences(group.rows(frame), (m, d, n), asked.c):
            console.print(sentence)
    console.print(f"written to {out} and {out.with_suffix('.pdf')}", soft_wrap=True)
    return 0
