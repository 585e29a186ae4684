"""How a student's network follows from its teacher's."""

from dataclasses import asdict, dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval

from tsl.errors import InputError
from tsl.networks import FeedForward, Network
from tsl.networks.feed_forward import multiplied
from tsl.theory.activation import ActivationName


@dataclass(kw_only=True)
class StudentChanges:
    """Ways beside its widths in which a student's network differs from its teacher's; as the teacher's where None.

    Args:
        activation: Of the hidden nodes: relu, erf (of x/√2), tanh, sigmoid, quadratic or linear.
        negative_slope: Slope of relu below zero, up to 1; more than 0 is leaky ReLU. 0 where another activation is
            given alone.
        batch_norm: Where each hidden layer normalizes its nodes: before or after the activation, or nowhere ("none").
        batch_norm_affine: Whether that is followed by a trained scale and shift.
        dropout: Probability with which an output of a hidden node is dropped in training.
    """

    activation: ActivationName | None = None
    negative_slope: ClosedUnitInterval | None = None
    batch_norm: Literal["before", "after", "none"] | None = None
    batch_norm_affine: bool | None = None
    dropout: ClosedUnitInterval | None = None


def make_student(
    teacher: Network,
    multiplier: float,
    widths: list[int] | None,
    changes: StudentChanges | None = None,
    active_only: bool = False,
) -> FeedForward:
    """A student's network, uninitialized.

    Args:
        teacher: The teacher's.
        multiplier: Student nodes for each teacher node, in every hidden layer.
        widths: The student's nodes in each hidden layer, instead of `multiplier`.
        changes: What else differs.
        active_only: Count only the teacher nodes that were not pruned; of replicates, those of the one with most.

    Raises:
        InputError: If the widths do not fit the teacher's, or no student can be made like it.
    """
    if not isinstance(teacher, FeedForward):
        raise InputError(
            f"no student can be made like a teacher of {type(teacher).__name__}: set model.init_args.student_network "
            "to a class that makes one, such as tsl.networks.ConvNet"
        )
    differing = {name: value for name, value in asdict(changes or StudentChanges()).items() if value is not None}
    if "activation" in differing:
        differing.setdefault("negative_slope", 0.0)
    if differing.get("batch_norm") == "none":
        differing["batch_norm"] = None
    if widths is None and active_only:
        widths = multiplied([int(active.sum(dim=1).max()) for active in teacher.active_nodes()], multiplier)
    if widths is None:
        return teacher.widened(multiplier, **differing)
    if len(widths) != len(teacher.widths):
        raise InputError(
            f"model.init_args.student_widths = {widths} has {len(widths)} hidden layers, the teacher "
            f"{len(teacher.widths)}: give the student as many"
        )
    return teacher.with_widths(widths, **differing)


def check_compared(teacher: Network, student: FeedForward) -> None:
    """Refuse a teacher and a student whose layers or outputs cannot be compared.

    Raises:
        InputError: If that is so.
    """
    counts = len(teacher.widths), len(student.widths)
    if counts[0] != counts[1]:
        raise InputError(
            f"model.init_args.teacher has {counts[0]} hidden layers to compare, model.init_args.student_network "
            f"{counts[1]}: give both as many (init_args.widths, or init_args.layers of a teacher from elsewhere)"
        )
    for layer, (of_teacher, of_student) in enumerate(zip(teacher.map_sizes, student.map_sizes, strict=True), start=1):
        if of_teacher != of_student:
            sizes = [" x ".join(map(str, size)) or "no maps" for size in (of_teacher, of_student)]
            raise InputError(
                f"hidden layer {layer}: maps of the teacher are {sizes[0]}, of the student {sizes[1]}, and every "
                "position is a sample: set kernel_size, stride and padding of model.init_args.student_network.init_args"
                " so that they agree"
            )
    if teacher.output_dim != student.output_dim:
        raise InputError(
            f"model.init_args.teacher has {teacher.output_dim} outputs, the student {student.output_dim}: give "
            "model.init_args.student_network.init_args.output_dim the same"
        )


def freeze_all_but(student: FeedForward, trained_layers: list[int]) -> None:
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
