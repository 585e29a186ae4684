"""Continue training students to a critical point and say which kind it is: `python -m tsl.polish runs/two_layer/first`.

Each replicate starts from its own last weights. It is trained in float64, on all training inputs of the last epoch at
once and on the teacher's outputs without noise. The command writes

    RUN/records/polish         a row for each replicate: loss, gradient norm, kind of critical point, duplicate nodes
    RUN/records/eigenvalues    the eigenvalues of each replicate's Hessian that were computed
    RUN/polished/student.pt    the students' weights there: plain tensors, for MLP.load_state_dict
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from tsl.errors import InputError
from tsl.experiments.full_batch import FullBatch, minimized
from tsl.metrics.functional import node_correlation
from tsl.modules.load_run import LoadedRun, load_run
from tsl.networks import MLP
from tsl.networks.mlp import as_mlp
from tsl.runs.records import write_table
from tsl.runs.whole_files import written_whole
from tsl.theory.critical_points import Kind, critical_kind, spectrum

ALIKE = 1 - 1e-6
"""Two nodes of a layer are duplicates if the magnitude of their correlation over the training inputs is above this."""


MEANING: dict[Kind, str] = {
    "minimum": "all eigenvalues are positive",
    "saddle": "some eigenvalues are negative",
    "flat": "no eigenvalue is negative, and some are zero: in those directions the loss is flat, or curved only in "
    "higher order",
    "kink": "an input lies on the hyperplane of a node, where the gradient jumps and need not be 0 at a minimum",
    "not critical": "the gradient is larger than asked for: allow more iterations (--max-iterations)",
}

KINK = 1e-9
"""Pre-activations below this, in units of their root mean square, count as on the kink of (leaky) ReLU."""


class Polished(NamedTuple):
    """The outcome of training a run's students to critical points.

    Attributes:
        student: The students at their critical points.
        rows: The table `polish`.
        eigenvalues: The table `eigenvalues`.
    """

    student: MLP
    rows: pd.DataFrame
    eigenvalues: pd.DataFrame


def polish(run: LoadedRun, tolerance: float, most_iterations: int, console: Console) -> Polished:
    """Minimize each replicate's loss over all its training inputs, and compute the Hessian's spectrum at the minimum.

    Args:
        run: The run; its student is changed.
        tolerance: The norm of the gradient at which to stop.
        most_iterations: Iterations of L-BFGS for each replicate.
        console: Where progress is shown.

    Raises:
        InputError: If the student is not an MLP or has BatchNorm, or replicates differ in their number of inputs.
    """
    student = checked(run.module.student).double()
    inputs = torch.cat([batch.flatten(2) for batch in run.train_batches()], dim=1).double()
    with torch.no_grad():
        targets = run.module.teacher.double()(inputs)
    rows, eigenvalues = [], []
    for replicate in track(range(student.replicates), "replicates", console=console, transient=True):
        alone = one_replicate(student, replicate)
        loss = FullBatch(alone, run.module.loss, inputs[[replicate]], targets[[replicate]])
        at, iterations = minimized(loss, tolerance, most_iterations)
        norm = float(torch.func.grad(loss)(at).norm())
        symmetries = loss.rescalings(at)
        found = spectrum(loss, at, symmetries)
        of_start = loss(loss.start).item()
        alone.load_state_dict(loss.named(at), strict=False)
        for whole, part in zip(student.parameters(), alone.parameters(), strict=True):
            whole.data[replicate] = part.data[0]
        with torch.no_grad():
            activations = alone.activations(inputs[[replicate]])
        rows.append(
            {
                "replicate": replicate,
                "loss_before": of_start,
                "loss": loss(at).item(),
                "gradient_norm": norm,
                "iterations": iterations,
                "kind": critical_kind(found, norm, tolerance, at_kink(alone, activations.pre)),
                "parameters": len(at),
                "spectrum": "whole" if found.complete else "ends",
                "least_eigenvalue": found.values[0],
                "largest_eigenvalue": found.values[-1],
                "negative": found.negative,
                "zero": found.zero,
                "rescalings": len(symmetries),
                "duplicates": in_words([duplicates(post[0]) for post in activations.post]),
            }
        )
        numbered = {"row": range(1, len(found.values) + 1), "value": found.values}
        eigenvalues.append(pd.DataFrame(numbered).assign(replicate=replicate))
    table = pd.DataFrame(rows).assign(epoch=run.epoch)
    return Polished(student, table, pd.concat(eigenvalues, ignore_index=True).assign(epoch=run.epoch))


def checked(student: Any) -> MLP:
    """The student, typed as an MLP, if its loss is a function of its parameters alone.

    Raises:
        InputError: If it is another network, or has BatchNorm.
    """
    student = as_mlp(student, "tsl polish", "its Hessian is that of a small network")
    if student.batch_norm:
        raise InputError(
            "tsl polish expects students without BatchNorm, whose statistics the loss does not train, but this one "
            f"has batch_norm: {student.batch_norm}; train a run without it"
        )
    return student


def one_replicate(student: MLP, replicate: int) -> MLP:
    """A network with the weights of one replicate; frozen weights stay frozen."""
    alone = MLP(1, **student.init_args).to(student.layers[0].weight.dtype).eval()
    for part, whole in zip(alone.parameters(), student.parameters(), strict=True):
        part.data.copy_(whole.data[[replicate]])
        part.requires_grad_(whole.requires_grad)
    return alone


def at_kink(network: MLP, pre: Sequence[Tensor]) -> bool:
    """Whether an input lies on the hyperplane of a (leaky) ReLU node, judged from all pre-activations."""
    smallest = min(float(layer.abs().min() / layer.square().mean().sqrt()) for layer in pre)
    return network.activation.name == "relu" and smallest < KINK


def duplicates(post: Tensor) -> list[list[int]]:
    """The nodes of a layer that compute the same up to sign, scale and shift, in groups, counted from 1.

    Args:
        post: Post-activations `[N, nodes]`.
    """
    alike = node_correlation(post, post).abs() > ALIKE
    _, group = connected_components(alike.numpy(), directed=False)
    members = [(np.flatnonzero(group == number) + 1).tolist() for number in np.unique(group)]
    return [nodes for nodes in members if len(nodes) > 1]


def in_words(layers: Sequence[list[list[int]]]) -> str:
    """Groups of duplicate nodes in words: "1 = 4, 2 = 3 = 5"; layers are named if the network has several."""
    named = {
        layer: ", ".join(" = ".join(map(str, nodes)) for nodes in groups) for layer, groups in enumerate(layers, 1)
    }
    if len(layers) == 1:
        return named[1]
    return "; ".join(f"layer {layer}: {words}" for layer, words in named.items() if words)


def screen_table(rows: pd.DataFrame) -> Table:
    """The printed table, with a row for each replicate."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("replicate", "loss", "gradient norm", "kind", "eigenvalues", "negative", "zero"):
        table.add_column(heading, justify="right")
    table.add_column("duplicate nodes")
    for row in rows.to_dict("records"):
        ends = f"{row['least_eigenvalue']:.1e} to {row['largest_eigenvalue']:.1e}"
        least = "" if row["spectrum"] == "whole" else "≥ "
        counts = [f"{least}{row[name]}" for name in ("negative", "zero")]
        numbers = [f"{row[name]:.1e}" for name in ("loss", "gradient_norm")]
        table.add_row(str(row["replicate"]), *numbers, row["kind"], ends, *counts, row["duplicates"] or "none")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.polish", description="Continue training to a critical point, and say which kind it is."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a run, with config.yaml and checkpoints/")
    norm = "norm of the gradient at which to stop (default: 1e-10)"
    parser.add_argument("--gradient-norm", type=PositiveFloat, default=1e-10, metavar="X", help=norm)
    most = "iterations of L-BFGS for each replicate (default: 20000)"
    parser.add_argument("--max-iterations", type=PositiveInt, default=20_000, metavar="N", help=most)
    asked = parser.parse_args(arguments)
    console = Console(highlight=False, markup=False)
    try:
        polished = polish(load_run(asked.run), asked.gradient_norm, asked.max_iterations, console)
        out = asked.run / "polished"
        out.mkdir(exist_ok=True)
        with written_whole(out / "student.pt") as temporary:
            torch.save(polished.student.state_dict(), temporary)
        for name, frame in (("polish", polished.rows), ("eigenvalues", polished.eigenvalues)):
            write_table(asked.run, name, int(frame["epoch"].iloc[0]), frame)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(screen_table(polished.rows))
    rescalings = polished.rows["rescalings"].iloc[0]
    if rescalings:
        console.print(f"not counted: {rescalings} zero eigenvalues, from scaling a node up and its fan-out down")
    for kind in sorted(set(polished.rows["kind"])):
        console.print(f"{kind}: {MEANING[kind]}")
    console.print(f"written to {out / 'student.pt'} and the tables polish and eigenvalues", soft_wrap=True)
    return 0
