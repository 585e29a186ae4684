"""Correlation of every pair of a teacher node and a student node over training."""

from typing import Any

from tsl.report.l_shape import arrange
from tsl.report.packing import packed, room, spread
from tsl.report.runs import ReportRun
from tsl.runs.records import ON_REQUEST, recorded_epochs

PAIR_BYTES = 2


def pair_data(run: ReportRun, budget: float) -> dict[str, Any]:
    """What page/heat_map.js draws.

    Args:
        run: The run.
        budget: Bytes there are for it.

    Returns:
        As `tsl.report.l_shape.node_data`; each of `layers` has its `teachers` and `students` by number, and
        `correlation`, an array (epochs, seeds, teachers, students).
    """
    recorded = recorded_epochs(run.path, "pairs")
    first = run.table("pairs", recorded[-1:], ["correlation"])
    if first.empty:
        return {"missing": f"it has no records of pairs of nodes: {ON_REQUEST['pairs']}"}
    replicates = sorted(first["replicate"].unique().tolist())
    size = PAIR_BYTES * first.groupby("replicate").size().max()
    kept, seeds = room(len(recorded), len(replicates), int(size), budget)
    frame = run.table("pairs", spread(recorded, kept), ["correlation"])
    epochs = sorted(frame["epoch"].unique().tolist())
    layers = []
    for layer, rows in frame.groupby("layer"):
        axes = {"epoch": epochs, "replicate": replicates[:seeds]}
        axes |= {name: sorted(rows[name].unique().tolist()) for name in ("teacher_node", "student_node")}
        correlation = packed(arrange(rows, "correlation", axes), "correlation")
        numbers = {"teachers": axes["teacher_node"], "students": axes["student_node"]}
        layers.append({"layer": int(str(layer)), **numbers, "correlation": correlation})
    return {
        "epochs": epochs,
        "recorded": len(recorded),
        "seeds": [run.seed + replicate for replicate in replicates[:seeds]],
        "replicates": len(replicates),
        "layers": layers,
    }
