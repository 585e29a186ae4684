"""Objectives that combine labels, the teacher's outputs and its hidden layers.

Letters: R replicates, B inputs, m teacher nodes and n student nodes of a layer.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jsonargparse import lazy_instance
from jsonargparse.typing import NonNegativeFloat
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

from tsl.errors import InputError
from tsl.metrics.functional import positions_as_samples
from tsl.metrics.replicates import ReplicateMean
from tsl.modules.losses import KL, label_cross_entropy
from tsl.names import TRAIN_LOSS
from tsl.networks import Activations, Network, ReplicatedLinear
from tsl.networks.deep_initialization import default_rows
from tsl.networks.rows import set_rows
from tsl.randomness import replicate_generators

KEY = "model.init_args.loss.init_args"


class LayerTerm(nn.Module):
    """Matches one layer of the student to one of the teacher.

    Args:
        teacher: Name of the teacher's layer, as it is watched (`layers` of `tsl.networks.External`; layers of tsl's own
            networks are numbered from "1").
        student: Name of the student's layer.
        weight: Weight of the term in the loss.
    """

    def __init__(self, teacher: str, student: str, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.teacher, self.student, self.weight = teacher, student, weight

    @abstractmethod
    def make(self, teacher_nodes: int, student_nodes: int, generators: Sequence[Generator]) -> None:
        """Make the term's own trained parameters, each replicate's from its generator."""

    @abstractmethod
    def forward(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The term of each replicate, `[R]`, from activations `[R, B, nodes]` or maps `[R, B, nodes, H, W]`."""


class Hint(LayerTerm):
    """The mean squared error of the teacher's nodes, predicted from the student's by a linear map that is trained too.

    1/(N·m) Σ ‖t − P s − c‖² over N samples; every position of a map is a sample. P [R, m, n] and c are initialized as
    by `tsl.networks.DefaultInitialization` and trained by the student's optimizer.

    Source: Romero et al. 2015, "FitNets: hints for thin deep nets" (arXiv 1412.6550); their factor ½ belongs to the
    weight.
    """

    projection: ReplicatedLinear

    def make(self, teacher_nodes: int, student_nodes: int, generators: Sequence[Generator]) -> None:
        """Make the projection; see the base class."""
        self.projection = ReplicatedLinear(len(generators), student_nodes, teacher_nodes)
        set_rows(self.projection, default_rows(teacher_nodes, student_nodes, generators))

    def forward(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The mean squared error; see the base class."""
        t, s = (positions_as_samples(nodes) if nodes.ndim == 5 else nodes for nodes in (teacher, student))
        return (t - self.projection(s)).square().mean(dim=(1, 2))


class AttentionTransfer(LayerTerm):
    """The mean squared difference of attention maps, which show where a layer is strong, for any number of nodes.

    An input's map is Σ_k a_k² at each position, scaled to length 1.

    Source: Zagoruyko and Komodakis 2017, "Paying more attention to attention" (arXiv 1612.03928), as in their code.
    """

    def make(self, teacher_nodes: int, student_nodes: int, generators: Sequence[Generator]) -> None:
        """Make nothing; see the base class."""

    def forward(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The mean squared difference; see the base class."""
        if teacher.ndim != 5:
            raise InputError(
                f"{KEY}.layers: AttentionTransfer compares maps, but {self.teacher} has none: use tsl.modules.Hint"
            )
        of_teacher, of_student = (
            normalize(maps.square().mean(dim=2).flatten(2), dim=-1) for maps in (teacher, student)
        )
        return (of_teacher - of_student).square().mean(dim=(1, 2))


class Distillation(nn.Module):
    """A weighted sum of terms, each logged by itself as `train/<name>`, without its weight.

    `val/loss` contains the terms `labels` and `teacher`, but not those of layers.

    Args:
        labels: Weight of the term `labels`, the cross-entropy of the data's labels.
        teacher: Weight of the term `teacher`, `teacher_loss` of the student's and the teacher's outputs.
        teacher_loss: Function from student and teacher outputs `[R, B, outputs]` to one loss for each replicate; `KL`
            with a temperature is Hinton's.
        layers: Terms of hidden layers by name, such as `Hint` and `AttentionTransfer`.

    Raises:
        InputError: If a name cannot be logged.
    """

    def __init__(
        self,
        labels: NonNegativeFloat = 0.1,
        teacher: NonNegativeFloat = 0.9,
        teacher_loss: Callable[[Tensor, Tensor], Any] = lazy_instance(KL, temperature=4.0),  # noqa: B008
        layers: dict[str, LayerTerm] | None = None,
    ) -> None:
        super().__init__()
        self.weights = {"labels": labels, "teacher": teacher}
        self.teacher_loss = teacher_loss
        for name in layers or {}:
            if name in ("loss", "learning_rate", *self.weights) or not re.fullmatch(r"\w+", name):
                raise InputError(f"{KEY}.layers names a term {name!r}: choose another name of letters, digits and _")
        self.layers: Any = nn.ModuleDict(layers)

    def make(self, teacher: Network, student: Network, labelled: bool | None, seed: int | list[int]) -> None:
        """Make the trained parameters of the terms.

        Args:
            teacher: The teacher.
            student: The student.
            labelled: Whether the data has labels; None if there is no data yet.
            seed: The module's `seed`.

        Raises:
            InputError: If a layer is not watched, or `labels` has a weight and the data has no labels.
        """
        if labelled is False and self.weights["labels"]:
            raise InputError(
                f"{KEY}.labels = {self.weights['labels']:g}, but the data has no labels: set it to 0, or "
                "data.class_path to data with labels"
            )
        for name, term in self.layers.items():
            nodes = []
            for network, layer, of in ((teacher, term.teacher, "teacher"), (student, term.student, "student")):
                if layer not in network.layer_names:
                    raise InputError(
                        f"{KEY}.layers.{name}.init_args.{of} = {layer}: expected a watched layer of the {of}, one of "
                        f"{', '.join(network.layer_names)}"
                    )
                nodes.append(network.widths[network.layer_names.index(layer)])
            term.make(*nodes, replicate_generators("projection", seed, student.replicates))
        names = [*(name for name, weight in self.weights.items() if weight), *self.layers]
        means = {name: ReplicateMean(student.replicates) for name in names}
        for mean in means.values():
            mean.persistent(True)  # so that a run can be resumed within an epoch
        self.means: Any = nn.ModuleDict(means)

    def output_terms(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The terms of outputs that have a weight, `[R]` each.

        Args:
            student: Student outputs, `[R, B, outputs]`.
            teacher: Teacher outputs, `[R, B, outputs]`.
            labels: Classes, `[R, B]`.
        """
        terms = {}
        if self.weights["labels"] and labels is not None:
            terms["labels"] = label_cross_entropy(student, labels)
        if self.weights["teacher"]:
            terms["teacher"] = self.teacher_loss(student, teacher)
        return terms

    def training_loss(self, student: Network, teacher: Network, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each replicate `[R]` on a minibatch; its terms are added to `means`."""
        with torch.no_grad():
            of_teacher = teacher.activations(inputs) if self.layers else Activations([], [], teacher(inputs))
        of_student = student.activations(inputs) if self.layers else Activations([], [], student(inputs))
        terms = self.output_terms(of_student.output, of_teacher.output, labels)
        for name, term in self.layers.items():
            t, s = (
                activations.post[network.layer_names.index(layer)]
                for network, activations, layer in (
                    (teacher, of_teacher, term.teacher),
                    (student, of_student, term.student),
                )
            )
            terms[name] = term(t, s)
        for name, values in terms.items():
            self.means[name].update(values.detach())
        return self.weighted(terms)

    def weighted(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of terms by their weights, `[R]`."""
        weights = self.weights | {name: term.weight for name, term in self.layers.items()}
        return torch.stack([weights[name] * values for name, values in terms.items()]).sum(dim=0)

    def reset_means(self) -> None:
        """Reset the means of the terms, at the start of an epoch."""
        for mean in self.means.values():
            mean.reset()

    def mean_terms(self) -> dict[str, Tensor]:
        """The epoch's mean of each term, `[R]`, by the name under which it is logged."""
        prefix = TRAIN_LOSS.partition("/")[0]
        return {f"{prefix}/{name}": mean.compute() for name, mean in self.means.items()}
