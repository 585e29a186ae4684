"""Make the rows of `tsl.runs.records` from measured tensors; the caller adds the columns epoch, split and layer.

Letters: R replicates, m teacher nodes, n student nodes of one layer.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.metrics.functional import best_correlation, match_count, observed, recovered, rho_mean
from tsl.names import FRACTION_RECOVERED, NULL, RECOVERED, recovered_column

CorrelationMeasure = Callable[[Tensor], Tensor]
"""A function of one network's ρ_jk `[m, n]`, without pruned teacher nodes: one number, or one per teacher node."""


class LayerValues(NamedTuple):
    """The measures of one layer over all inputs of a split.

    Attributes:
        active: Whether each teacher node is not pruned, bool, `[R, m]`.
        correlation: ρ_jk, `[R, m, n]`.
        null_correlation: ρ_jk of the teacher on shuffled inputs, `[R, m, n]`.
        observation: O_jk, `[R, m, n]`.
        teacher_strength: Strengths of teacher nodes, `[R, m]`.
        student_strength: Strengths of student nodes, `[R, n]`.
    """

    active: Tensor
    correlation: Tensor
    null_correlation: Tensor
    observation: Tensor
    teacher_strength: Tensor
    student_strength: Tensor


def layer_frames(
    layer: LayerValues,
    thresholds: Sequence[float],
    measures: dict[str, CorrelationMeasure],
    of_layer: dict[str, Tensor],
    pairs: bool = False,
) -> dict[str, pd.DataFrame]:
    """The rows of the tables teacher_nodes, student_nodes and layers for one layer.

    A pruned teacher node has no row, matches no student node and is not part of a mean. Only `of_layer` is measured
    with pruned nodes.

    Args:
        layer: The measures of the layer.
        thresholds: Correlations above which a teacher node counts as recovered.
        measures: Further measures of the correlation, by name.
        of_layer: Further columns of the table layers, each `[R]`.
        pairs: Whether to add the table `pairs`.

    Raises:
        InputError: If one of `measures` returns a wrong shape.
    """
    active, correlation = layer.active, layer.correlation
    best = best_correlation(correlation.masked_fill(~active.unsqueeze(-1), -torch.inf))
    teacher_nodes = {
        "best_correlation": best.teacher_correlation,
        "best_student": best.best_student + 1,
        **{recovered_column(threshold): recovered(correlation, threshold) for threshold in thresholds},
        f"matches_{RECOVERED:.2f}": match_count(correlation, RECOVERED),
        "observed": observed(layer.observation),
        "strength": layer.teacher_strength,
    }
    student_nodes = {
        "best_correlation": best.student_correlation,
        "best_teacher": best.best_teacher + 1,
        "strength": layer.student_strength,
    }
    layers = {
        "rho_mean": rho_mean(correlation, active),
        f"rho_mean{NULL}": rho_mean(layer.null_correlation, active),
        FRACTION_RECOVERED: (recovered(correlation, RECOVERED) & active).sum(1) / active.sum(1)
        + 0 * rho_mean(correlation, active),  # NaN where a correlation is
        **of_layer,
    }
    of_nodes = tidy(teacher_nodes, ("replicate", "node"))[active.flatten().numpy(force=True)]
    for name, measure in measures.items():
        values = measured(name, measure, correlation, active)
        nulls = measured(name, measure, layer.null_correlation, active)
        if values[0].ndim:
            of_nodes[name] = torch.cat(values).numpy(force=True)
        layers[name] = torch.stack([value.double().mean() for value in values])
        layers[f"{name}{NULL}"] = torch.stack([value.double().mean() for value in nulls])
    frames = {
        "teacher_nodes": of_nodes,
        "student_nodes": tidy(student_nodes, ("replicate", "node")),
        "layers": tidy(layers, ("replicate",)),
    }
    if pairs:
        of_pairs = tidy({"correlation": correlation}, ("replicate", "teacher_node", "student_node"))
        frames["pairs"] = of_pairs[active.unsqueeze(-1).expand_as(correlation).flatten().numpy(force=True)]
    return frames


def measured(name: str, measure: CorrelationMeasure, correlation: Tensor, active: Tensor) -> list[Tensor]:
    """A measure of the active teacher nodes of every replicate: one number each, or one for each of these nodes.

    Raises:
        InputError: If the measure returns another shape.
    """
    values = [torch.as_tensor(measure(rho[nodes])) for rho, nodes in zip(correlation, active, strict=True)]
    for value, nodes in zip(values, active, strict=True):
        if value.shape not in ((), (int(nodes.sum()),)):
            raise InputError(
                f"records.alignments.{name} returned a tensor of shape {list(value.shape)} for a correlation of "
                f"{int(nodes.sum())} teacher nodes by {correlation.shape[-1]} student nodes: return one number, or one "
                "for each teacher node"
            )
    return values


def tidy(values: dict[str, Tensor], axes: tuple[str, ...]) -> pd.DataFrame:
    """One row for each entry of equally shaped tensors, with a column for each tensor and for the index on each axis.

    Args:
        values: Tensors by column name.
        axes: Name of each axis; "replicate" counts from 0, the others from 1.
    """
    shape = next(iter(values.values())).shape
    index = {
        axis: positions.ravel() + (axis != "replicate") for axis, positions in zip(axes, np.indices(shape), strict=True)
    }
    return pd.DataFrame(index | {name: tensor.numpy(force=True).ravel() for name, tensor in values.items()})
