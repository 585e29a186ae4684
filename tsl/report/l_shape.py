"""Single nodes over training: strength and best correlation of student nodes, recovery of teacher nodes."""

from typing import Any

import numpy as np
import pandas as pd

from tsl.names import NODE_RECOVERED
from tsl.report.packing import packed, room, spread
from tsl.report.runs import evaluated
from tsl.runs import ReplicateGroup
from tsl.runs.records import ALWAYS

STUDENT_BYTES = 8  # float32 strength, 16 bits of correlation, 16 of the best teacher
TEACHER_COLUMNS = ("best_correlation", NODE_RECOVERED, "strength")


def node_data(group: ReplicateGroup, budget: float) -> dict[str, Any]:
    """The data that page/l_shape.js draws.

    Args:
        group: Replicates with the same settings.
        budget: The number of bytes that the data may take.

    Returns:
        `epochs`, `recorded` (the number of epochs in the records), `seeds`, `replicates` (the number of replicates in
        the records), and `layers`. Each layer has its number, `students` as arrays (epochs, seeds, nodes), and
        `teachers` as arrays (epochs, nodes), which are means over all these replicates. If there are no records, the
        only entry is `missing`, the reason.
    """
    recorded = group.run.recorded_epochs("student_nodes")
    needed = ["best_correlation", "best_teacher", "strength"]
    first = evaluated(group, "student_nodes", recorded[-1:], needed)
    if first.empty:
        return {"missing": f"it has no records of its nodes: {ALWAYS}"}
    replicates = sorted(first["replicate"].unique().tolist())
    size = STUDENT_BYTES * first.groupby("replicate").size().max()
    kept, seeds = room(len(recorded), len(replicates), int(size), budget)
    epochs = spread(recorded, kept)
    students = evaluated(group, "student_nodes", epochs, needed)
    teachers = evaluated(group, "teacher_nodes", epochs, TEACHER_COLUMNS)
    epochs = sorted(students["epoch"].unique().tolist())
    layers = [
        {
            "layer": layer,
            "students": _students(students[students["layer"] == layer], epochs, replicates[:seeds]),
            "teachers": _teachers(teachers, layer, epochs),
        }
        for layer in sorted(students["layer"].unique().tolist())
    ]
    return {
        "epochs": epochs,
        "recorded": len(recorded),
        "seeds": [group.seeds[replicate] for replicate in replicates[:seeds]],
        "replicates": len(replicates),
        "layers": layers,
    }


def arrange(frame: pd.DataFrame, column: str, axes: dict[str, list[int]]) -> np.ndarray:
    """A column of a tidy table as an array with these axes; an entry without a row is NaN.

    Args:
        frame: The table.
        column: The column of values.
        axes: The values along each axis, by the column that holds them.
    """
    array = np.full([len(values) for values in axes.values()], np.nan)
    places = [pd.Index(values).get_indexer(pd.Index(frame[name])) for name, values in axes.items()]
    inside = np.all([place >= 0 for place in places], axis=0)
    array[tuple(place[inside] for place in places)] = frame[column].to_numpy(dtype=float)[inside]
    return array


def _students(rows: pd.DataFrame, epochs: list[int], replicates: list[int]) -> dict[str, Any]:
    nodes = sorted(rows["node"].unique().tolist())
    axes = {"epoch": epochs, "replicate": replicates, "node": nodes}
    return {
        "nodes": nodes,
        "correlation": packed(arrange(rows, "best_correlation", axes), "correlation"),
        "strength": packed(arrange(rows, "strength", axes)),
        "teacher": packed(np.nan_to_num(arrange(rows, "best_teacher", axes)), "uint16"),
    }


def _teachers(frame: pd.DataFrame, layer: int, epochs: list[int]) -> dict[str, Any] | None:
    if not {"layer", *TEACHER_COLUMNS} <= set(frame):
        return None
    rows = frame[frame["layer"] == layer]
    means = rows.groupby(["epoch", "node"])[list(TEACHER_COLUMNS)].mean().reset_index()
    strongest_first = means[means["epoch"] == means["epoch"].max()].sort_values("strength", ascending=False)
    axes = {"epoch": epochs, "node": strongest_first["node"].tolist()}
    names = dict(zip(TEACHER_COLUMNS, ("correlation", "recovered", "strength"), strict=True))
    arrays = {name: packed(arrange(means, column, axes)) for column, name in names.items()}
    return {"nodes": axes["node"], **arrays}
