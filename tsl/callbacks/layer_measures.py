"""The measures of one hidden layer, gathered batch by batch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tsl.callbacks.frames import CorrelationMeasure, LayerValues, layer_frames, tidy
from tsl.metrics import BoundaryObservation, NodeCorrelation
from tsl.metrics.functional import positions_as_samples, shuffled_samples
from tsl.metrics.functional.boundary_observation import boundary_observation_from_counts
from tsl.metrics.functional.cross_moments import merge
from tsl.metrics.functional.node_correlation import node_correlation_from_moments
from tsl.metrics.replicates import ReplicateMean
from tsl.modules.teacher_student import Observation
from tsl.names import NULL
from tsl.networks import Activations, Network, effective_layers
from tsl.networks.convnet import some_images
from tsl.networks.mlp import as_mlp
from tsl.randomness import generator
from tsl.theory.gradient_rule import LayerTerms, gradient_rule, network_pass

if TYPE_CHECKING:
    from tsl.modules.compiled.fused_evaluation import NodeSums

Alignment = Callable[[int, int, int], Metric]
"""A function of the numbers of teacher nodes, student nodes and replicates that returns a metric of activations."""


class LayerMeasures(nn.Module):
    """The measures of one hidden layer over one split of the evaluation data.

    `correlation` and `alignments` have null levels: the same measures with the teacher on shuffled inputs.

    Every position of a map is a sample. For the null level of maps, whole images are shuffled and positions stay, so
    it shows chance and what follows from the position alone, such as the border of an image. (Shuffling positions
    would give a null level near 0, because there are millions of them; the number of images is what counts.)
    It is measured on `some_images` of each batch, to save time.

    Args:
        active: Whether each teacher node is not pruned, bool, `[R, m]`.
        student_nodes: Number n of student nodes.
        alignments: Further measures of the layer, by name.
        mean_matrices: Whether to gather E A_l and E B_l as well.
        maps: Whether nodes are channels of maps.
        products: Precision of the products of a block of activations in correlations; blocks are added in float64.
    """

    def __init__(
        self,
        active: Tensor,
        student_nodes: int,
        alignments: dict[str, Alignment],
        mean_matrices: bool = False,
        maps: bool = False,
        products: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        replicates, teacher_nodes = active.shape
        shape = teacher_nodes, student_nodes, replicates
        self.active = active
        self.maps = maps
        self.correlation: NodeCorrelation
        if maps:
            self.correlation = NodeCorrelation(*shape, products=products)
            self.null_correlation = NodeCorrelation(*shape, products=products)
        else:  # the teacher's nodes and, below them, the same nodes on shuffled inputs: one pass over the wide student
            self.correlation = NodeCorrelation(2 * teacher_nodes, student_nodes, replicates, products=products)
        self.observation = BoundaryObservation(*shape)
        self.teacher_strength = ReplicateMean(replicates, teacher_nodes)
        self.student_strength = ReplicateMean(replicates, student_nodes)
        # Any, because the type hints of nn.ModuleDict do not say that these modules are metrics.
        self.alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.null_alignments: Any = nn.ModuleDict({name: make(*shape) for name, make in alignments.items()})
        self.mean_matrices: Any = nn.ModuleDict()
        if mean_matrices:
            self.mean_matrices["A"] = ReplicateMean(replicates, student_nodes, teacher_nodes)
            self.mean_matrices["B"] = ReplicateMean(replicates, student_nodes, student_nodes)
        self.shuffling = generator("null_level", 0)

    def update(self, teacher: Activations, student: Activations, layer: int) -> None:
        """Add one batch of the activations of hidden layer `layer` (from 0)."""
        # Before the activation, because BatchNorm after it would shift the threshold of "active".
        self.observation.update(*(self._samples(network.pre[layer]) for network in (teacher, student)))
        self._update(teacher.post[layer], student.post[layer])

    def _samples(self, nodes: Tensor) -> Tensor:
        return positions_as_samples(nodes) if self.maps else nodes

    def _update(self, teacher: Tensor, student: Tensor) -> None:
        """Add post-activations, `[R, B, m]` and `[R, B, n]`, or maps `[R, B, m, H, W]` and `[R, B, n, H, W]`."""
        if self.maps:
            images = some_images(teacher.shape[1])
            few = teacher[:, images]
            shuffled = positions_as_samples(shuffled_samples(few.flatten(2), self.shuffling).view(few.shape))
            null_student = positions_as_samples(student[:, images])
            teacher, student = positions_as_samples(teacher), positions_as_samples(student)
            self.correlation.update(teacher, student)
            self.null_correlation.update(shuffled, null_student)
        else:
            shuffled, null_student = shuffled_samples(teacher, self.shuffling), student
            self.correlation.update(torch.cat([teacher, shuffled], dim=-1), student)
        for metric in self.alignments.values():
            metric.update(teacher, student)
        for metric in self.null_alignments.values():
            metric.update(shuffled, null_student)

    def update_mean_matrices(self, terms: LayerTerms, samples: int) -> None:
        """Add E A_l and E B_l of one batch of `samples`, without the constant unit."""
        if self.mean_matrices:
            self.mean_matrices["A"].update(terms.mean_A[:, :-1, :-1], samples)
            self.mean_matrices["B"].update(terms.mean_B[:, :-1, :-1], samples)

    def frames(
        self, thresholds: Sequence[float], measures: dict[str, CorrelationMeasure], pairs: bool
    ) -> dict[str, pd.DataFrame]:
        """The layer's rows by table; see `layer_frames`."""
        frames = layer_frames(self.values(), thresholds, measures, self.alignment_values(), pairs)
        if self.mean_matrices:
            frames["mean_matrices"] = pd.concat(
                tidy({"value": metric.compute()}, ("replicate", "row", "column")).assign(matrix=name)
                for name, metric in self.mean_matrices.items()
            )
        return frames

    def values(self) -> LayerValues:
        """The measures that every layer has, over all batches so far."""
        correlation, null_correlation = (
            (self.correlation.compute(), self.null_correlation.compute())
            if self.maps
            else self.correlation.compute().unflatten(-2, (2, -1)).unbind(-3)
        )
        return LayerValues(
            self.active,
            correlation,
            null_correlation,
            self.observation.compute(),
            self.teacher_strength.compute().sqrt(),
            self.student_strength.compute().sqrt(),
        )

    def alignment_values(self) -> dict[str, Tensor]:
        """Every alignment and its null level, each `[R]`."""
        named = {**self.alignments, **{f"{name}{NULL}": metric for name, metric in self.null_alignments.items()}}
        return {name: metric.compute().reshape(len(self.active)) for name, metric in named.items()}


class LayerSums:
    """The measures of a layer without further alignments, as in `LayerMeasures`, from sums made by compiled code.

    Args:
        active: Whether each teacher node is not pruned, bool, `[R, m]`.
    """

    def __init__(self, active: Tensor) -> None:
        self.active = active
        self.sums: NodeSums | None = None
        self.teacher_strength = ReplicateMean(*active.shape)

    def update(self, sums: "NodeSums", teacher_strength: Tensor, samples: int) -> None:
        """Add one batch."""
        self.teacher_strength.update(teacher_strength, samples)
        if self.sums is not None:
            sums = sums._replace(
                moments=merge(self.sums.moments, sums.moments),
                both_active=self.sums.both_active + sums.both_active,
                student_active=self.sums.student_active + sums.student_active,
            )
        self.sums = sums

    def frames(
        self, thresholds: Sequence[float], measures: dict[str, CorrelationMeasure], pairs: bool
    ) -> dict[str, pd.DataFrame]:
        """The layer's rows by table; see `layer_frames`."""
        assert self.sums is not None, "frames are made of at least one batch"
        correlation, null_correlation = (
            node_correlation_from_moments(self.sums.moments).unflatten(-2, (2, -1)).unbind(-3)
        )
        values = LayerValues(
            self.active,
            correlation,
            null_correlation,
            boundary_observation_from_counts(self.sums.both_active, self.sums.student_active),
            self.teacher_strength.compute().sqrt(),
            self.sums.student_strength.sqrt(),
        )
        return layer_frames(values, thresholds, measures, {}, pairs)


def lemma_terms(student: Network, teacher: Network, observed: Observation) -> list[LayerTerms]:
    """The terms of Lemma 1 at every hidden layer, for one batch; BatchNorm is folded into the weights.

    Raises:
        InputError: If a network is not an MLP, or is deep and not piecewise linear.
    """
    runs = []
    for of_any_kind, activations in ((student, observed.student), (teacher, observed.teacher)):
        network = as_mlp(of_any_kind, "records.mean_matrices", "set it to false")
        weights, biases = zip(*effective_layers(network), strict=True)
        runs.append(network_pass(weights, biases, activations.pre, network.activation))
    return gradient_rule(*runs)
