"""How a student's network follows from its teacher's."""

from dataclasses import asdict, dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval

from tsl.errors import InputError
from tsl.networks import MLP


@dataclass(kw_only=True)
class StudentChanges:
    """Ways beside its widths in which a student's network differs from its teacher's; as the teacher's where None.

    Args:
        negative_slope: Slope of the activation below zero, up to 1: 0 is ReLU, more is leaky ReLU.
        batch_norm: Where each hidden layer normalizes its nodes: before or after the activation, or nowhere ("none").
        batch_norm_affine: Whether that is followed by a trained scale and shift.
        dropout: Probability with which an output of a hidden node is dropped in training.
    """

    negative_slope: ClosedUnitInterval | None = None
    batch_norm: Literal["before", "after", "none"] | None = None
    batch_norm_affine: bool | None = None
    dropout: ClosedUnitInterval | None = None


def make_student(
    teacher: MLP, multiplier: float, widths: list[int] | None, changes: StudentChanges | None = None
) -> MLP:
    """A student's network, uninitialized.

    Args:
        teacher: The teacher's.
        multiplier: Student nodes for each teacher node, in every hidden layer.
        widths: The student's nodes in each hidden layer, instead of `multiplier`.
        changes: What else differs.

    Raises:
        InputError: If the widths do not fit the teacher's.
    """
    differing = {name: value for name, value in asdict(changes or StudentChanges()).items() if value is not None}
    if differing.get("batch_norm") == "none":
        differing["batch_norm"] = None
    if widths is None:
        return teacher.widened(multiplier, **differing)
    if len(widths) != len(teacher.widths):
        raise InputError(
            f"model.init_args.student_widths = {widths} has {len(widths)} hidden layers, the teacher "
            f"{len(teacher.widths)}: give the student as many"
        )
    return teacher.with_widths(widths, **differing)


def freeze_all_but(student: MLP, trained_layers: list[int]) -> None:
    """Leave only some layers to be trained, counted from 1 at the input to L + 1 at the output.

    A hidden layer's BatchNorm is frozen with it, but for its running statistics.

    Raises:
        InputError: If there is no such layer, or none is named.
    """
    layers = student.layers
    if not trained_layers or max(trained_layers) > len(layers):
        raise InputError(
            f"model.init_args.trained_layers = {trained_layers}: name layers from 1 to {len(layers)} "
            "(the output layer), at least one"
        )
    for number, layer in enumerate(layers, start=1):
        layer.requires_grad_(number in trained_layers)
    for number, norm in enumerate(student.norms, start=1):
        norm.requires_grad_(number in trained_layers)
