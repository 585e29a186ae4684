"""Students whose architecture is derived from their teacher's."""

from typing import Any, Literal

from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt

from tsl.errors import InputError
from tsl.networks.feed_forward import FeedForward, multiplied
from tsl.networks.network import Network
from tsl.theory.activation import ActivationName


class LikeTeacher:
    """A student of its teacher's kind, with a multiple of the teacher's nodes in every hidden layer.

    Args:
        multiplier: Student nodes for each teacher node.
        activation: Activation of the hidden nodes: relu, erf (of x/√2), tanh, sigmoid, quadratic or linear. This and
            the following settings are the teacher's if None.
        negative_slope: Slope of relu below zero, up to 1; 0 if not given but `activation` is.
        batch_norm: Where each hidden layer normalizes its nodes: before or after the activation, or nowhere ("none").
        batch_norm_affine: Whether the normalization is followed by a trained scale and shift.
        dropout: Probability with which an output of a hidden node is dropped in training.
    """

    def __init__(
        self,
        multiplier: PositiveFloat = 1.0,
        activation: ActivationName | None = None,
        negative_slope: ClosedUnitInterval | None = None,
        batch_norm: Literal["before", "after", "none"] | None = None,
        batch_norm_affine: bool | None = None,
        dropout: ClosedUnitInterval | None = None,
    ) -> None:
        self.multiplier = multiplier
        self.activation = activation
        self.negative_slope = negative_slope
        self.batch_norm = batch_norm
        self.batch_norm_affine = batch_norm_affine
        self.dropout = dropout

    def make(self, teacher: Network, active_only: bool = False) -> FeedForward:
        """The student's network, uninitialized.

        Args:
            teacher: The teacher's network.
            active_only: Count only the teacher nodes that were not pruned, in the replicate with most of them.

        Raises:
            InputError: If the widths do not fit the teacher's, or no student can be made like it.
        """
        if not isinstance(teacher, FeedForward):
            raise InputError(
                f"tsl.networks.LikeTeacher cannot copy the architecture of {type(teacher).__name__}: set "
                "model.init_args.student to a class that makes a network, such as tsl.networks.ConvNet"
            )
        names = ("activation", "negative_slope", "batch_norm", "batch_norm_affine", "dropout")
        changes: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if "activation" in changes:
            changes.setdefault("negative_slope", 0.0)
        if changes.get("batch_norm") == "none":
            changes["batch_norm"] = None
        return teacher.with_widths(self._widths(teacher, active_only), **changes)

    def _widths(self, teacher: FeedForward, active_only: bool) -> list[int]:
        active = [int(nodes.sum(dim=1).max()) for nodes in teacher.active_nodes()] if active_only else teacher.widths
        return multiplied(active, self.multiplier)


class WithWidths(LikeTeacher):
    """A student of its teacher's kind, with these nodes in its hidden layers.

    Args:
        widths: The student's nodes in each hidden layer.
        activation: Activation of the hidden nodes. For this and the following settings see `LikeTeacher`.
        negative_slope: Slope of relu below zero.
        batch_norm: Where each hidden layer normalizes its nodes.
        batch_norm_affine: Whether the normalization is followed by a trained scale and shift.
        dropout: Probability with which an output of a hidden node is dropped in training.
    """

    def __init__(
        self,
        widths: list[PositiveInt],
        activation: ActivationName | None = None,
        negative_slope: ClosedUnitInterval | None = None,
        batch_norm: Literal["before", "after", "none"] | None = None,
        batch_norm_affine: bool | None = None,
        dropout: ClosedUnitInterval | None = None,
    ) -> None:
        super().__init__(1.0, activation, negative_slope, batch_norm, batch_norm_affine, dropout)
        self.widths = widths

    def _widths(self, teacher: FeedForward, active_only: bool) -> list[int]:
        if len(self.widths) != len(teacher.widths):
            raise InputError(
                f"model.init_args.student.init_args.widths = {self.widths} has {len(self.widths)} hidden layers, but "
                f"the teacher has {len(teacher.widths)}: give the student the same number"
            )
        return list(self.widths)
