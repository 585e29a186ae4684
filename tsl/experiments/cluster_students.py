"""Recover a teacher from the nodes of its students: `python -m tsl.cluster_students runs/two_layer/first`.

The replicates of the run are the students, and must have one common teacher
(`--model.teacher_initialization tsl.modules.TeacherOfRun`). The nodes that most students share become the hidden nodes
of a network. Its output weights are the least-squares fit to the teacher's outputs on all training inputs. The
command writes

    RUN/records/clusters                 a row for each recovered node
    RUN/clustered/reconstruction.pt      the network's weights: plain tensors, for MLP.load_state_dict
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tsl.errors import InputError
from tsl.metrics.functional import fan_out_strength
from tsl.modules.load_run import LoadedRun, load_run
from tsl.networks import MLP
from tsl.networks.clusters import check_identified, cluster_nodes, node_distance
from tsl.networks.mlp import as_mlp
from tsl.networks.weights import load_weights
from tsl.runs.records import write_table
from tsl.runs.whole_files import written_whole


class Reconstruction(NamedTuple):
    """A teacher that was reconstructed from its students.

    Attributes:
        network: The reconstruction, with one replicate and one hidden node for each cluster.
        rows: The table `clusters`.
        loss: The network's loss against the teacher on the evaluation inputs.
        student_losses: The students' losses on the same inputs, `[R]`.
        teacher_nodes: The teacher's width.
    """

    network: MLP
    rows: pd.DataFrame
    loss: float
    student_losses: Tensor
    teacher_nodes: int


@torch.no_grad()
def reconstruct(run: LoadedRun, distance: float, share: float) -> Reconstruction:
    """Cluster the students' nodes and fit a network of the clusters; see `tsl.networks.clusters`.

    Args:
        run: A run of two-layer students of one teacher.
        distance: The largest distance at which two nodes count as the same.
        share: The fraction of the students that must have a node.

    Raises:
        InputError: If the networks are of another kind, or no node is shared.
    """
    student, teacher = (checked(network).double() for network in (run.module.student, run.module.teacher))
    check_identified(student.activation)
    if teacher.activation != student.activation:
        raise InputError(
            f"expected teacher and student with the same activation, but the teacher has {teacher.activation.name} and "
            f"the student {student.activation.name}: set model.init_args.student.init_args.activation"
        )
    if any((part != part[:1]).any() for part in teacher.parameters()):
        raise InputError(
            "expected many students of one teacher, but the replicates have different teachers: train them with "
            "--model.teacher_initialization tsl.modules.TeacherOfRun and a run of one replicate"
        )
    inputs = torch.cat([batch.flatten(2) for batch in run.train_batches()], dim=1).double()
    std = inputs.square().mean().sqrt()
    nodes, teacher_nodes = (with_bias(network, std) for network in (student, teacher))
    found = cluster_nodes(nodes, fan_out_strength(student.layers[1].weight), student.activation, distance, share)
    if not len(found.centre):
        raise InputError(
            f"no node is shared by {share:.0%} of the {len(nodes)} students: train further, or allow a larger "
            "--distance or a smaller --share"
        )
    network = fitted(found.centre, std, student, inputs, teacher(inputs))
    apart = node_distance(found.centre, teacher_nodes[0], student.activation)
    nearest, best = apart.min(dim=1)
    columns = {
        "node": torch.arange(1, len(nearest) + 1),
        "students": found.students,
        "student_nodes": found.nodes,
        "spread": found.spread,
        "strength": fan_out_strength(network.layers[1].weight)[0],
        "best_teacher": best + 1,
        "distance": nearest,
    }
    rows = pd.DataFrame({name: values.numpy() for name, values in columns.items()}).assign(epoch=run.epoch)
    evaluated = torch.cat([batch.flatten(2) for batch in run.data.val_dataloader()[0]], dim=1).double()
    answers = teacher(evaluated)
    alone = network(evaluated.flatten(0, 1).unsqueeze(0))
    loss = run.module.loss(alone, answers.flatten(0, 1).unsqueeze(0)).item()
    return Reconstruction(network, rows, loss, run.module.loss(student(evaluated), answers), teacher_nodes.shape[1])


def checked(network: object) -> MLP:
    """The network, typed as an MLP, if it has one hidden layer and no BatchNorm.

    Raises:
        InputError: If it is another network.
    """
    mlp = as_mlp(network, "tsl cluster-students", "use students that are MLPs")  # type: ignore[arg-type]
    if len(mlp.widths) != 1 or mlp.batch_norm:
        raise InputError(
            f"tsl cluster-students expects one hidden layer without BatchNorm, but this run has widths {mlp.widths} "
            f"and batch_norm: {mlp.batch_norm}; give another run"
        )
    return mlp


def with_bias(network: MLP, std: Tensor) -> Tensor:
    """The lowest weights, scaled to inputs of variance 1, with the bias (or 0) as last entry, `[R, nodes, d + 1]`."""
    weight, bias = network.layers[0].weight, network.layers[0].bias
    last = weight.new_zeros(weight.shape[:2]) if bias is None else bias
    return torch.cat([weight * std, last.unsqueeze(-1)], dim=-1)


def fitted(centre: Tensor, std: Tensor, student: MLP, inputs: Tensor, targets: Tensor) -> MLP:
    """A network with given hidden nodes, and with the output weights that fit the targets best (least squares).

    Args:
        centre: Weights of its c hidden nodes for inputs of variance 1, the bias last, `[c, d + 1]`.
        std: Standard deviation of the inputs.
        student: A network of the same kind, whose width may differ.
        inputs: `[R, N, d]`.
        targets: `[R, N, outputs]`.
    """
    network = MLP(1, **student.init_args | {"widths": [len(centre)], "dropout": 0.0}).double().eval()
    lowest, top = network.layers
    lowest.weight.copy_(centre[:, :-1] / std)
    if lowest.bias is not None:
        lowest.bias.copy_(centre[:, -1])
    hidden = network.activation(lowest(inputs.flatten(0, 1).unsqueeze(0)))[0]
    features = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1) if top.bias is not None else hidden
    # gelsd, because it can solve the singular problem of a cluster's node that is a multiple of another's.
    solution = torch.linalg.lstsq(features, targets.flatten(0, 1), driver="gelsd").solution
    top.weight.copy_(solution[: len(centre)].mT)
    if top.bias is not None:
        top.bias.copy_(solution[-1])
    return network


def screen_table(rows: pd.DataFrame, students: int) -> Table:
    """The printed table, with a row for each recovered node."""
    table = Table(title="Nodes that students share", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("node", "students", "student nodes", "spread", "strength", "nearest teacher node", "distance"):
        table.add_column(heading, justify="right")
    for row in rows.to_dict("records"):
        numbers = [f"{row[name]:.2g}" for name in ("spread", "strength")]
        of_students = f"{row['students']}/{students}"
        table.add_row(
            *(str(row["node"]), of_students, str(row["student_nodes"])),
            *(*numbers, str(row["best_teacher"]), f"{row['distance']:.2g}"),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.cluster_students", description="Recover a teacher from the nodes that its students share."
    )
    run = "directory of a run whose replicates are students of one teacher"
    parser.add_argument("run", type=Path, metavar="RUN", help=run)
    weights = "file of the students' weights, such as RUN/polished/student.pt (default: the last checkpoint)"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=weights)
    distance = "nodes count as the same up to this distance, divided by their mean length (default: 0.1)"
    parser.add_argument("--distance", type=PositiveFloat, default=0.1, metavar="X", help=distance)
    share = "fraction of the students that must have a node (default: 0.8)"
    parser.add_argument("--share", type=ClosedUnitInterval, default=0.8, metavar="X", help=share)
    asked = parser.parse_args(arguments)
    console = Console(highlight=False, markup=False)
    try:
        loaded = load_run(asked.run)
        if asked.weights is not None:
            load_weights(loaded.module.student.double(), str(asked.weights), "--weights")
        found = reconstruct(loaded, asked.distance, asked.share)
        out = asked.run / "clustered"
        out.mkdir(exist_ok=True)
        with written_whole(out / "reconstruction.pt") as temporary:
            torch.save(found.network.state_dict(), temporary)
        write_table(asked.run, "clusters", loaded.epoch, found.rows)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(screen_table(found.rows, len(found.student_losses)))
    console.print(f"width recovered: {len(found.rows)}, and the teacher has {found.teacher_nodes} nodes")
    least, most = found.student_losses.min(), found.student_losses.max()
    console.print(f"evaluation loss: {found.loss:.2g} of the reconstruction, {least:.2g} to {most:.2g} of the students")
    console.print(f"written to {out / 'reconstruction.pt'} and the table clusters", soft_wrap=True)
    return 0
