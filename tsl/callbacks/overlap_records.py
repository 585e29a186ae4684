"""The order parameters of a run as records, and the exact loss if it has a closed form.

Letters: R replicates, K student nodes, M teacher nodes.
"""

from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from tsl.callbacks.frames import tidy
from tsl.data import Gaussian
from tsl.errors import InputError
from tsl.modules import TeacherStudent
from tsl.networks import MLP
from tsl.networks.effective import lowest_layer
from tsl.networks.mlp import as_mlp
from tsl.replicates import per_replicate
from tsl.theory.order_parameters import Normalization, order_parameters, time_alpha
from tsl.theory.population_loss import gaussian_averages, population_loss

Overlaps = bool | Literal["fields", "dimension", "none"]
"""Whether overlaps are recorded and how they are normalized; true is "fields"."""


def check_overlaps(module: TeacherStudent, data: Any, overlaps: Overlaps) -> None:
    """Refuse networks and inputs without overlaps.

    Raises:
        InputError: If a network is not an MLP, or the inputs have no standard deviation although "fields" needs it.
    """
    for network in (module.teacher, module.student):
        as_mlp(network, "records.overlaps", "set it to false")
    if normalization(overlaps) == "fields" and not hasattr(getattr(data, "distribution", None), "std"):
        raise InputError(
            "records.overlaps: true means covariances of pre-activations, which need the inputs' standard deviation: "
            'choose a data.init_args.distribution with a std, or set records.overlaps to "dimension" or "none"'
        )


def normalization(overlaps: Overlaps) -> Normalization:
    """The normalization of overlaps that `records.overlaps` asks for."""
    return overlaps if isinstance(overlaps, str) else "fields"


def overlap_frames(module: TeacherStudent, data: Any, overlaps: Overlaps, steps: int) -> dict[str, pd.DataFrame]:
    """The rows of the tables `overlaps` and, for two-layer networks, `output_weights`, without the epoch.

    Args:
        module: The students and their teachers.
        data: The data that they are trained on.
        overlaps: The setting, checked by `check_overlaps`.
        steps: Optimizer steps taken.
    """
    student: Any = module.student
    teacher: Any = module.teacher
    scaled = normalization(overlaps)
    std = stds(data.distribution, module.replicates) if scaled == "fields" else 1.0
    lowest, lowest_teacher = (lowest_layer(network)[0].detach().cpu() for network in (student, teacher))
    measured = order_parameters(lowest, lowest_teacher, std, scaled)
    alpha = time_alpha(steps, data.sampler.batch_size, student.input_dim)
    frames = [
        tidy({"value": matrix}, ("replicate", "row", "column")).assign(matrix=name)
        for name, matrix in measured._asdict().items()
    ]
    tables = {"overlaps": pd.concat(frames).assign(alpha=alpha, normalization=scaled)}
    if len(student.widths) == 1:
        axes = "replicate", "output", "node"
        readouts = [
            tidy({"value": network.layers[-1].weight}, axes).assign(network=name)
            for name, network in (("student", student), ("teacher", teacher))
        ]
        tables["output_weights"] = pd.concat(readouts).assign(alpha=alpha)
    return tables


def exact_losses(module: TeacherStudent, data: Any) -> dict[str, Tensor]:
    """population_loss, `[R]` float64, over the evaluation inputs' distribution; empty if it has no closed form."""
    if why_no_exact_loss(module, data) is not None:
        return {}
    student: Any = module.student
    teacher: Any = module.teacher
    averages = gaussian_averages(student.activation, teacher.activation, (student.widths[0], teacher.widths[0]))
    lowest, readout = (layer.weight.detach().cpu() for layer in student.layers)
    lowest_teacher, readout_teacher = (layer.weight.detach().cpu() for layer in teacher.layers)
    overlaps = order_parameters(lowest, lowest_teacher, stds(evaluated_distribution(data), module.replicates))
    return {"population_loss": population_loss(overlaps, readout, readout_teacher, averages)}


def why_no_exact_loss(module: TeacherStudent, data: Any) -> str | None:
    """The reason why the population loss has no closed form; None if it has one.

    It has one for two-layer MLPs without biases or BatchNorm, if the activations have one and inputs are Gaussian.
    """
    distribution = evaluated_distribution(data)
    if type(distribution) is not Gaussian:
        return f"the evaluation inputs are {type(distribution).__name__}, and not tsl.data.Gaussian"
    for name in ("teacher", "student"):
        network = getattr(module, name)
        if not isinstance(network, MLP) or len(network.widths) != 1:
            return f"the {name} is no MLP of one hidden layer"
        if network.bias:
            return f"the {name} has biases: set model.init_args.teacher.init_args.bias to false"
        if network.batch_norm:
            return f"the {name} has BatchNorm"
    student, teacher = module.student, module.teacher
    assert isinstance(student, MLP)
    assert isinstance(teacher, MLP)
    try:
        gaussian_averages(student.activation, teacher.activation, (student.widths[0], teacher.widths[0]))
    except InputError as error:
        return str(error)
    return None


def evaluated_distribution(data: Any) -> Any:
    """The distribution of the evaluation inputs; None if they are not drawn from one."""
    return getattr(data, "val_distribution", None) or getattr(data, "distribution", None)


def stds(distribution: Any, replicates: int) -> Tensor:
    """Standard deviation of an input coordinate in each replicate, `[R]` float64."""
    values = per_replicate(distribution.std, replicates, "data.init_args.distribution.init_args.std")
    return torch.tensor(values, dtype=torch.float64, device="cpu")
