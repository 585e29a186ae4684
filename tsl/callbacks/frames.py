"""From measured arrays to the rows of `tsl.runs.records`. Rows lack what the caller knows: epoch, split and layer.

Letters: R replicates, m teacher nodes, n student nodes of one layer.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def layer_frames(
    active: np.ndarray,
    correlation: np.ndarray,
    null_correlation: np.ndarray,
    observation: np.ndarray,
    teacher_strength: np.ndarray,
    student_strength: np.ndarray,
    alignments: dict[str, np.ndarray],
    thresholds: Sequence[float],
) -> dict[str, pd.DataFrame]:
    """The rows of the tables teacher_nodes, student_nodes and layers for one layer.

    A pruned teacher node has no row, matches no student node and is no part of a mean; `alignments`, which are of whole
    layers, see it all the same.

    Args:
        active: Which teacher nodes were not pruned, bool, `[R, m]`.
        correlation: ρ_jk, `[R, m, n]`.
        null_correlation: ρ_jk of the teacher on shuffled inputs, `[R, m, n]`.
        observation: O_jk, `[R, m, n]`.
        teacher_strength: `[R, m]`.
        student_strength: `[R, n]`.
        alignments: Further measures of the layer by name, each `[R]`.
        thresholds: Correlations above which a teacher node counts as recovered.
    """
    best = correlation.max(axis=-1)
    of_active = np.where(active[..., None], correlation, -np.inf)
    teacher_nodes = {
        "best_correlation": best,
        "best_student": correlation.argmax(axis=-1) + 1,
        **{f"recovered_{threshold:.2f}": best > threshold for threshold in thresholds},
        "matches_0.95": (correlation > 0.95).sum(axis=-1),
        "observed": observation.max(axis=-1) > 0,
        "strength": teacher_strength,
    }
    student_nodes = {
        "best_correlation": of_active.max(axis=-2),
        "best_teacher": of_active.argmax(axis=-2) + 1,
        "strength": student_strength,
    }
    layers = {
        "rho_mean": best.mean(axis=-1, where=active),
        "rho_mean_null": null_correlation.max(axis=-1).mean(axis=-1, where=active),
        "recovered_fraction_0.95": (best > 0.95).mean(axis=-1, where=active),
        **alignments,
    }
    return {
        "teacher_nodes": tidy(teacher_nodes, ("replicate", "node"))[active.ravel()],
        "student_nodes": tidy(student_nodes, ("replicate", "node")),
        "layers": tidy(layers, ("replicate",)),
    }


def tidy(values: dict[str, np.ndarray], axes: tuple[str, ...]) -> pd.DataFrame:
    """One row for each entry of equally shaped arrays, with a column for each array and for the index on each axis.

    Args:
        values: Arrays by column name.
        axes: Name of each axis; "replicate" counts from 0, the others from 1.
    """
    shape = next(iter(values.values())).shape
    index = {
        axis: positions.ravel() + (axis != "replicate") for axis, positions in zip(axes, np.indices(shape), strict=True)
    }
    return pd.DataFrame(index | {name: array.ravel() for name, array in values.items()})
