"""The theory of a run: the solution of the equations of online learning for its settings and first overlaps.

Only tables and settings are read. Q, R and T are covariances of pre-activations (`records.overlaps: true`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsl.errors import InputError
from tsl.runs import Run

MODEL, DATA = "model.init_args", "data.init_args"
SGD = ("torch.optim.SGD", "tsl.modules.SGD")


class Course(NamedTuple):
    """Order parameters of a run's replicates over time, from simulation or theory.

    Attributes:
        alpha: Samples for each input dimension, `[times]`.
        Q: Overlaps of student nodes with each other, `[times, replicates, K, K]`.
        R: Overlaps of student with teacher nodes, `[times, replicates, K, M]`.
        T: Overlaps of teacher nodes with each other, `[replicates, M, M]`.
        readout: The student's output weights, `[times, replicates, outputs, K]`.
        teacher_readout: The teacher's output weights, `[replicates, outputs, M]`.
        loss: Population loss, `[times, replicates]`; NaN if the run did not record it.
    """

    alpha: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    T: np.ndarray
    readout: np.ndarray
    teacher_readout: np.ndarray
    loss: np.ndarray

    @property
    def cosines(self) -> np.ndarray:
        """R_in / √(Q_ii T_nn), `[times, replicates, K, M]`."""
        Q, T = (np.sqrt(np.diagonal(each, axis1=-2, axis2=-1)) for each in (self.Q, self.T))
        return self.R / (Q[..., :, None] * T[..., None, :])


def recorded_course(run: Run) -> Course:
    """The order parameters that a run recorded.

    Raises:
        InputError: If its overlaps are not normalized by "fields", or it has no overlaps.
    """
    overlaps, readouts, losses = (run.table(name) for name in ("overlaps", "output_weights", "losses"))
    scaled = overlaps["normalization"].iloc[0]
    if scaled != "fields":
        raise InputError(
            f'{run.path}: theory needs overlaps normalized by "fields" (covariances of pre-activations), but they are '
            f'normalized by "{scaled}": run it again with --records.overlaps true'
        )

    def array(frame: pd.DataFrame, row: str, column: str) -> np.ndarray:
        keys = ["epoch", "replicate", row, column]
        values = frame.sort_values(keys)["value"].to_numpy()
        return values.reshape(*(frame[key].nunique() for key in keys))

    Q, R, T = (array(overlaps[overlaps["matrix"] == name], "row", "column") for name in "QRT")
    student, teacher = (
        array(readouts[readouts["network"] == name], "output", "node") for name in ("student", "teacher")
    )
    loss = losses.reindex(columns=["epoch", "replicate", "population_loss"]).sort_values(["epoch", "replicate"])
    loss = loss[loss["epoch"].isin(overlaps["epoch"])]["population_loss"].to_numpy().reshape(len(Q), -1)
    alpha = overlaps.groupby("epoch")["alpha"].first().to_numpy()
    return Course(alpha, Q, R, T[0], student, teacher[0], loss)


def theory_of(run: Run, alpha: Sequence[float] | np.ndarray) -> Course:
    """The solution of the equations of online learning from a run's first overlaps, with its own settings.

    Args:
        run: A run with the tables `overlaps` and `output_weights`, recorded since before training.
        alpha: Increasing times from 0.

    Raises:
        InputError: If the theory does not apply to the run, or has no closed form for it.
    """
    import torch

    from tsl.theory.activation import Activation
    from tsl.theory.dynamics import Rates, learning_curve
    from tsl.theory.order_parameters import OrderParameters
    from tsl.theory.population_loss import gaussian_averages

    check_settings(run)
    start, settings = recorded_course(run), run.settings
    if start.alpha[0] != 0:
        raise InputError(
            f"{run.path}: theory starts from the overlaps before training, but they are not recorded: run it again"
        )
    network = f"{MODEL}.teacher.init_args"
    teacher = Activation(settings.get(f"{network}.activation", "relu"), settings.get(f"{network}.negative_slope", 0.0))
    student = student_activation(settings, teacher)
    averages = gaussian_averages(student, teacher, start.R.shape[-2:])
    eta, eta_readout, noise = map(torch.tensor, (*learning_rates(run), noise_stds(run)))
    rates = Rates(eta, eta_readout, noise, small_rate=is_small_rate(student.name))
    overlaps = OrderParameters(*(torch.tensor(each) for each in (start.Q[0], start.R[0], start.T)))
    readouts = torch.tensor(start.readout[0]), torch.tensor(start.teacher_readout)
    curve = learning_curve(overlaps, *readouts, averages, rates, torch.tensor(np.array(alpha)))
    Q, R, _ = (each.numpy() for each in curve.overlaps)
    return Course(curve.alpha.numpy(), Q, R, start.T, curve.readout.numpy(), start.teacher_readout, curve.loss.numpy())


def learning_rates(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """η and η_v of each replicate, as in `tsl.theory.dynamics`; 0 for a layer that is not trained."""
    from tsl.theory.dynamics import rates_of_sgd

    settings = run.settings
    lr, std = (
        np.array(of_replicates(run, key))
        for key in (f"{MODEL}.optimizer.init_args.lr", f"{DATA}.distribution.init_args.std")
    )
    both = rates_of_sgd(lr, settings[f"{DATA}.dim"], settings[f"{DATA}.batch_size"], std)
    trained = settings.get(f"{MODEL}.trained_layers") or [1, 2]
    eta, eta_readout = (rate * (layer in trained) for layer, rate in enumerate(both, start=1))
    return eta, eta_readout


def noise_stds(run: Run) -> np.ndarray:
    """Standard deviation of the label noise in each replicate."""
    return np.array(of_replicates(run, f"{MODEL}.noise"))


def of_replicates(run: Run, key: str, default: float = 0.0) -> list[float]:
    """The value of a numeric setting in each replicate."""
    if key in run.replicates:
        return [float(value) for value in run.replicates[key]]
    return [float(run.settings.get(key, default))] * len(run.replicates)


def is_small_rate(activation: str) -> bool:
    """Whether theory holds only for small learning rates: (leaky) ReLU has no closed form of second-order terms."""
    return activation == "relu"


def student_activation(settings: dict[str, Any], teacher: Any) -> Any:
    """The student's activation if it has its own, else the teacher's."""
    name = settings.get(f"{MODEL}.student.init_args.activation")
    slope = settings.get(f"{MODEL}.student.init_args.negative_slope")
    if name is None:
        return teacher if slope is None else teacher._replace(negative_slope=slope)
    return type(teacher)(name, slope or 0.0)


def check_settings(run: Run) -> None:
    """Refuse a run to which the equations do not apply.

    Raises:
        InputError: If a setting violates their assumptions; the message names it.
    """
    settings = run.settings
    expected = {
        f"{DATA}.fresh_inputs": (True, "each input is seen once"),
        f"{DATA}.replacement": (False, "each input is seen once"),
        f"{DATA}.augmentation": (None, "inputs are Gaussian"),
        f"{DATA}.distribution.class_path": ("tsl.data.Gaussian", "inputs are Gaussian"),
        f"{MODEL}.teacher.init_args.bias": (False, "there are no biases"),
        f"{MODEL}.teacher.init_args.batch_norm": (None, "there is no BatchNorm"),
        f"{MODEL}.student.class_path": (
            ("tsl.networks.LikeTeacher", "tsl.networks.WithWidths"),
            "the student is like the teacher",
        ),
        f"{MODEL}.normalize_weights": (False, "weights are not rescaled"),
        f"{MODEL}.loss": ("tsl.modules.half_squared_error", "the objective is half the squared error"),
        f"{MODEL}.optimizer.class_path": (SGD, "steps are plain SGD"),
        f"{MODEL}.optimizer.init_args.momentum": (0, "steps are plain SGD"),
        f"{MODEL}.optimizer.init_args.weight_decay": (0, "steps are plain SGD"),
        f"{MODEL}.lr_scheduler": (None, "the learning rate is constant"),
    }
    for key, (value, why) in expected.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if settings.get(key, allowed[0]) not in allowed:
            raise InputError(
                f"{run.path}: {key} = {settings[key]}, but theory applies only to runs in which {why}: draw the figure "
                "without --theory"
            )
