"""Correlation of every pair of a teacher node and a student node over training."""

from typing import Any

from tsl.report.l_shape import arrange
from tsl.report.packing import packed, room, spread
from tsl.report.runs import evaluated
from tsl.runs import ReplicateGroup
from tsl.runs.records import ON_REQUEST

PAIR_BYTES = 2


def pair_data(group: ReplicateGroup, budget: float) -> dict[str, Any]:
    """The data that page/heat_map.js draws.

    Args:
        group: Replicates with the same settings.
        budget: The number of bytes that the data may take.

    Returns:
        The same as `tsl.report.l_shape.node_data`, except that each of `layers` has the numbers of its `teachers` and
        `students`, and `correlation`, an array (epochs, seeds, teachers, students).
    """
    recorded = group.run.recorded_epochs("pairs")
    first = evaluated(group, "pairs", recorded[-1:], ["correlation"])
    if first.empty:
        return {"missing": f"it has no records of pairs of nodes: {ON_REQUEST['pairs']}"}
    replicates = sorted(first["replicate"].unique().tolist())
    size = PAIR_BYTES * first.groupby("replicate").size().max()
    kept, seeds = room(len(recorded), len(replicates), int(size), budget)
    frame = evaluated(group, "pairs", spread(recorded, kept), ["correlation"])
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
        "seeds": [group.seeds[replicate] for replicate in replicates[:seeds]],
        "replicates": len(replicates),
        "layers": layers,
    }
