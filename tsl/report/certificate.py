"""The ε that the theorem grants each teacher node against the ε that its students reached, over training."""

from typing import Any

import numpy as np
import pandas as pd

from tsl.figures.certificate import LEAST, outcomes
from tsl.report.l_shape import arrange
from tsl.report.packing import packed, room, spread
from tsl.report.runs import evaluated
from tsl.runs import ReplicateGroup

OUTCOMES = ("nothing observes it", "certified", "vacuous", "conclusion fails")


def certificate_data(group: ReplicateGroup, budget: float) -> dict[str, Any] | None:
    """The data that page/certificate.js draws.

    Args:
        group: Replicates with the same settings.
        budget: The number of bytes that the data may take.

    Returns:
        `epochs`, `seeds`, `nodes`, and arrays (epochs, seeds, nodes): `granted` and `reached` (log10 ε; NaN if no
        student node observes the teacher node) and `outcome` (index into `outcomes`). Further `counts` of the outcomes
        at the last epoch over all these replicates, and `recorded` and `replicates` as in
        `tsl.report.l_shape.node_data`. None if the run has no certificate.
    """
    recorded = group.run.recorded_epochs("certificate")
    needed = ["granted_epsilon", "reached_epsilon", "condition", "vacuous", "conclusion"]
    last = evaluated(group, "certificate", recorded[-1:], needed)
    if last.empty:
        return None
    replicates = sorted(last["replicate"].unique().tolist())
    kept, seeds = room(len(recorded), len(replicates), 10 * last["node"].nunique(), budget)
    frame = evaluated(group, "certificate", spread(recorded, kept), needed)
    for name in ("granted_epsilon", "reached_epsilon"):
        finite = frame[name].where(np.isfinite(frame[name]))
        frame[name] = np.log10(finite.clip(lower=LEAST))
    axes = {
        "epoch": sorted(frame["epoch"].unique().tolist()),
        "replicate": replicates[:seeds],
        "node": sorted(frame["node"].unique().tolist()),
    }
    frame["outcome"] = outcome_index(frame)
    return {
        "epochs": axes["epoch"],
        "recorded": len(recorded),
        "replicates": len(replicates),
        "seeds": [group.seeds[replicate] for replicate in axes["replicate"]],
        "nodes": axes["node"],
        "granted": packed(arrange(frame, "granted_epsilon", axes)),
        "reached": packed(arrange(frame, "reached_epsilon", axes)),
        "outcome": packed(np.nan_to_num(arrange(frame, "outcome", axes)), "uint16"),
        "outcomes": OUTCOMES,
        "counts": [int((outcome_index(last) == index).sum()) for index in range(len(OUTCOMES))],
    }


def outcome_index(frame: pd.DataFrame) -> pd.Series:
    """The index into `OUTCOMES` of each row of the table."""
    index = pd.Series(0, frame.index)
    for name, rows in outcomes(frame).items():
        index[rows] = OUTCOMES.index(name)
    return index
