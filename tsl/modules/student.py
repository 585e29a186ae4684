"""Checks that a student's network fits its teacher's, and freezes layers that are not trained."""

from tsl.errors import InputError
from tsl.networks import FeedForward, Network


def check_compared(teacher: Network, student: FeedForward) -> None:
    """Refuse a teacher and a student whose layers or outputs cannot be compared.

    Raises:
        InputError: If that is so.
    """
    counts = len(teacher.widths), len(student.widths)
    if counts[0] != counts[1]:
        raise InputError(
            f"model.init_args.teacher has {counts[0]} hidden layers to compare, but model.init_args.student "
            f"has {counts[1]}: give both the same number (init_args.widths, or init_args.layers of "
            "tsl.networks.External)"
        )
    for layer, (of_teacher, of_student) in enumerate(zip(teacher.map_sizes, student.map_sizes, strict=True), start=1):
        if of_teacher != of_student:
            sizes = [" x ".join(map(str, size)) or "no maps" for size in (of_teacher, of_student)]
            raise InputError(
                f"hidden layer {layer}: the teacher's maps are {sizes[0]}, the student's {sizes[1]}, but every "
                "position is a sample of both: set kernel_size, stride and padding of model.init_args.student.init_args"
                " so that they agree"
            )
    if teacher.output_dim != student.output_dim:
        raise InputError(
            f"model.init_args.teacher has {teacher.output_dim} outputs, but the student has {student.output_dim}: "
            f"set model.init_args.student.init_args.output_dim to {teacher.output_dim}"
        )


def freeze_all_but(student: FeedForward, trained_layers: list[int]) -> None:
    """Leave only some layers to be trained, counted from 1 at the input to L + 1 at the output.

    A hidden layer's BatchNorm is frozen with it, except its running statistics.

    Raises:
        InputError: If there is no such layer, or none is named.
    """
    layers = student.layers
    if not trained_layers or max(trained_layers) > len(layers):
        raise InputError(
            f"model.init_args.trained_layers = {trained_layers}: expected at least one layer from 1 to {len(layers)} "
            "(the output layer)"
        )
    for number, layer in enumerate(layers, start=1):
        layer.requires_grad_(number in trained_layers)
    for number, norm in enumerate(student.norms, start=1):
        norm.requires_grad_(number in trained_layers)
