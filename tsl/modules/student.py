"""Initializes teacher and student, checks that they fit each other and the data, and freezes layers."""

from tsl.data import DataModule
from tsl.errors import InputError
from tsl.networks import ExternalStudent, FeedForward, Initialization, Network, TrainableNetwork
from tsl.randomness import replicate_generators


def initialize_teacher(teacher: Network, initialization: Initialization | None, seed: int | list[int]) -> None:
    """Draw the teacher's weights, or check that it has weights.

    Raises:
        InputError: If it has no weights, or has weights already and an initialization is given.
    """
    if initialization is not None:
        if not isinstance(teacher, FeedForward):
            raise InputError(
                f"model.init_args.teacher = {type(teacher).__name__} already has its weights: set "
                "model.init_args.teacher_initialization to null"
            )
        initialization(teacher, replicate_generators("teacher", seed, teacher.replicates))
    elif any(parameter.isnan().any() for parameter in teacher.parameters()):
        raise InputError(
            f"model.init_args.teacher = {type(teacher).__name__} comes without weights: set "
            "model.init_args.teacher_initialization, or take a trained teacher, such as tsl.networks.Pretrained"
        )


def initialize_student(
    student: TrainableNetwork, initialization: Initialization | None, teacher: Network, seed: int | list[int]
) -> None:
    """Draw the student's weights.

    Raises:
        InputError: If an initialization is given for a network that initializes itself, or none for another.
    """
    generators = replicate_generators("student", seed, student.replicates)
    if isinstance(student, FeedForward) and initialization is not None:
        initialization(student, generators, teacher)
    elif isinstance(student, ExternalStudent) and initialization is None:
        student.draw(generators)
    else:
        remedy = "give one" if initialization is None else "set it to null, because the module initializes itself"
        raise InputError(
            f"model.init_args.student_initialization is {type(initialization).__name__} for a "
            f"{type(student).__name__}: {remedy}"
        )


def check_inputs(data: DataModule, teacher: Network, student: Network) -> None:
    """Refuse inputs of a shape that a network does not take.

    Raises:
        InputError: If the shape does not fit; the message names the settings.
    """
    shape = data.input_shape
    for name, network in (("teacher", teacher), ("student", student)):
        if network.accepts(shape):
            continue
        if len(shape) == len(network.input_shape) == 1:
            raise InputError(
                f"data.init_args.dim = {shape[0]}, but model.init_args.{name}.init_args.input_dim = "
                f"{network.input_shape[0]}: give both the same value"
            )
        raise InputError(
            f"inputs of {type(data).__name__} have the shape {shape}, but model.init_args.{name} takes "
            f"{network.input_shape}: set its init_args.input_shape (or input_dim) to the shape of the data"
        )


def check_compared(teacher: Network, student: Network) -> None:
    """Refuse a teacher and a student whose layers or outputs cannot be compared.

    Raises:
        InputError: If they cannot.
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


def checked_own(student: TrainableNetwork, setting: str) -> FeedForward:
    """Return the student, which must be one of tsl's networks.

    Raises:
        InputError: If it is not, because `setting` works only with them.
    """
    if not isinstance(student, FeedForward):
        raise InputError(
            f"model.init_args.{setting} is for tsl's own networks, but the student is a {type(student).__name__}: "
            "leave it out, and do that in the module itself"
        )
    return student


def freeze_all_but(student: TrainableNetwork, trained_layers: list[int]) -> None:
    """Leave only some layers to be trained, counted from 1 at the input to L + 1 at the output.

    A hidden layer's BatchNorm is frozen with it, except its running statistics.

    Raises:
        InputError: If there is no such layer, no layer is named, or the student is not one of tsl's networks.
    """
    student = checked_own(student, "trained_layers")
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
