"""Everything that is gathered about one hidden layer, batch by batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tsl.callbacks.frames import layer_frames, tidy
from tsl.metrics import BoundaryObservation, NodeCorrelation
from tsl.metrics.functional import shuffled_samples
from tsl.metrics.replicates import ReplicateMean
from tsl.modules.teacher_student import Observation
from tsl.networks import MLP, effective_layers
from tsl.randomness import generator
from tsl.theory.gradient_rule import LayerTerms, gradient_rule, network_pass

Alignment = Callable[[int, int, int], Metric]
"""Makes a metric of teacher and student activations from the numbers of teacher nodes, student nodes and replicates."""


class LayerMeasures(nn.Module):
    """Everything that is gathered about one hidden layer over one split of the evaluation data.

    `correlation` and `alignments` stand beside their null levels: the same measures of the teacher on shuffled inputs.

    Args:
        active: Which teacher nodes were not pruned, bool, `[R, m]`.
        student_nodes: Number n of student nodes.
        alignments: Further measures of the layer, by name.
        mean_matrices: Whether E A_l and E B_l are gathered too.
    """

    def __init__(
        self, active: Tensor, student_nodes: int, alignments: dict[str, Alignment], mean_matrices: bool = False
    ) -> None:
        super().__init__()
        replicates, teacher_nodes = active.shape
        shape = teacher_nodes, student_nodes, replicates
        self.active = active
        # Of the teacher's nodes and, below them, of the same nodes on shuffled inputs: one pass over the wide student.
        self.correlation = NodeCorrelation(2 * teacher_nodes, student_nodes, replicates)
        self.observation = BoundaryObservation(*shape)
        self.teacher_strength = ReplicateMean(replicates, teacher_nodes)
        self.student_strength = ReplicateMean(replicates, student_nodes)
        # Any, because the hints of nn.ModuleDict forget that these modules are metrics.
        self.alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.null_alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.mean_matrices: Any = nn.ModuleDict()
        if mean_matrices:
            self.mean_matrices["A"] = ReplicateMean(replicates, student_nodes, teacher_nodes)
            self.mean_matrices["B"] = ReplicateMean(replicates, student_nodes, student_nodes)
        self.shuffling = generator("null_level", 0)

    def update(self, teacher: Tensor, student: Tensor) -> None:
        """Take in one batch of post-activations, `[R, B, m]` and `[R, B, n]`."""
        shuffled = shuffled_samples(teacher, self.shuffling)
        self.correlation.update(torch.cat([teacher, shuffled], dim=-1), student)
        for metric in self.alignments.values():
            metric.update(teacher, student)
        for metric in self.null_alignments.values():
            metric.update(shuffled, student)

    def update_mean_matrices(self, terms: LayerTerms, samples: int) -> None:
        """Take in E A_l and E B_l of one batch of `samples`, of the nodes alone: the constant unit is left out."""
        if self.mean_matrices:
            self.mean_matrices["A"].update(terms.mean_A[:, :-1, :-1], samples)
            self.mean_matrices["B"].update(terms.mean_B[:, :-1, :-1], samples)

    def frames(self, thresholds: Sequence[float], pairs: bool) -> dict[str, pd.DataFrame]:
        """The layer's rows by table; see `layer_frames`.

        Args:
            thresholds: Correlations above which a teacher node counts as recovered.
            pairs: Whether the table `pairs` is among them.
        """
        arrays, active = self.arrays(), self.active.numpy(force=True)
        frames = layer_frames(active, **arrays, alignments=self.alignment_arrays(), thresholds=thresholds)
        if pairs:
            correlation = {"correlation": arrays["correlation"]}
            of_pairs = tidy(correlation, ("replicate", "teacher_node", "student_node"))
            frames["pairs"] = of_pairs[np.broadcast_to(active[..., None], correlation["correlation"].shape).ravel()]
        if self.mean_matrices:
            named = {name: metric.compute().reshape(metric.total.shape) for name, metric in self.mean_matrices.items()}
            frames["mean_matrices"] = pd.concat(
                tidy({"value": matrix.numpy(force=True)}, ("replicate", "row", "column")).assign(matrix=name)
                for name, matrix in named.items()
            )
        return frames

    def arrays(self) -> dict[str, np.ndarray]:
        """Correlation, its null level and observation `[R, m, n]`, strengths of nodes `[R, m]` and `[R, n]`."""
        pairs = self.observation.replicates, self.observation.teacher_nodes, self.observation.student_nodes
        correlation = self.correlation.compute().unflatten(-2, (2, -1))
        values = {
            "correlation": (correlation[..., 0, :, :], pairs),
            "null_correlation": (correlation[..., 1, :, :], pairs),
            "observation": (self.observation.compute(), pairs),
            "teacher_strength": (self.teacher_strength.compute().sqrt(), pairs[:2]),
            "student_strength": (self.student_strength.compute().sqrt(), pairs[::2]),
        }
        # torchmetrics squeezes results of a single number
        return {name: value.numpy(force=True).reshape(shape) for name, (value, shape) in values.items()}

    def alignment_arrays(self) -> dict[str, np.ndarray]:
        """Every alignment asked for and its null level, each `[R]`."""
        named = {**self.alignments, **{f"{name}_null": metric for name, metric in self.null_alignments.items()}}
        return {name: np.atleast_1d(metric.compute().numpy(force=True)) for name, metric in named.items()}


def lemma_terms(student: MLP, teacher: MLP, observed: Observation) -> list[LayerTerms]:
    """The terms of Lemma 1 at every hidden layer, for one batch; BatchNorm is folded into the weights."""
    runs = []
    for network, activations in ((student, observed.student), (teacher, observed.teacher)):
        weights, biases = zip(*effective_layers(network), strict=True)
        runs.append(network_pass(weights, biases, activations.pre, network.negative_slope))
    return gradient_rule(*runs)
