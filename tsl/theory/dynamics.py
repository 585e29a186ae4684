"""Online learning of two-layer networks in the limit of large input dimension: differential equations in time α.

Each step uses a new Gaussian input x and the noisy output y = f°(x) + ζ of the teacher. The lowest weights w, with
pre-activations w·x/√d, change by −(η/√d) x times the gradient of ½‖f(x) − y‖² with respect to the pre-activations. The
output weights change by −η_v/d times their gradient. The time α is the number of samples divided by d.

Letters: K student nodes, M teacher nodes, O outputs; leading axes are replicates, which are integrated together.

Sources: Saad & Solla 1995 (erf, any learning rate); Riegler & Biehl 1995 (output weights trained); Goldt et al. 2019,
arXiv 1906.08632 (label noise); Straat & Biehl 2019, arXiv 1910.07476 (ReLU, small learning rate).
"""

from typing import NamedTuple, TypeVar

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from tsl.errors import InputError
from tsl.theory.gaussian_averages import GaussianAverages
from tsl.theory.order_parameters import OrderParameters
from tsl.theory.population_loss import joint_gram, joint_readout, population_loss

Rate = TypeVar("Rate", float, Tensor, np.ndarray)

BOUND = 1e6
"""A solution with overlaps beyond this value counts as growing without bound."""


class Rates(NamedTuple):
    """Learning rates and noise of a step; each is a number, or `[...]` for replicates.

    Attributes:
        lowest: η of the lowest weights; see `rates_of_sgd`.
        readout: η_v of the output weights; 0 if they are not trained.
        noise: Standard deviation of the noise ζ on each of the teacher's outputs.
        small_rate: Leave out the terms in η², of fluctuations and noise; they have no closed form for (leaky) ReLU.
    """

    lowest: float | Tensor
    readout: float | Tensor = 0.0
    noise: float | Tensor = 0.0
    small_rate: bool = False


class Trajectory(NamedTuple):
    """Overlaps, output weights and loss over time.

    Attributes:
        alpha: Times, `[times]`.
        overlaps: Q and R at each time, `[times, ..., K, K]` and `[times, ..., K, M]`, and T.
        readout: V, `[times, ..., O, K]`.
        loss: Population loss against the clean teacher, `[times, ...]`.
    """

    alpha: Tensor
    overlaps: OrderParameters
    readout: Tensor
    loss: Tensor


def rates_of_sgd(lr: Rate, dim: int, batch_size: int = 1, std: Rate | float = 1.0) -> tuple[Rate, Rate]:
    """η and η_v of plain SGD on networks whose pre-activations are w·x, with no 1/√d.

    The weights of such a network, times std · √d, are those of the equations. A minibatch that is small compared with d
    acts like `batch_size` steps one after the other, each with 1/`batch_size` of the rate.

    Args:
        lr: The optimizer's learning rate.
        dim: d.
        batch_size: Samples whose gradients a step averages.
        std: Standard deviation of an input coordinate.
    """
    return lr * dim * std**2 / batch_size, lr * dim / batch_size


def derivatives(
    overlaps: OrderParameters, readout: Tensor, teacher_readout: Tensor, averages: GaussianAverages, rates: Rates
) -> tuple[Tensor, Tensor, Tensor]:
    """dQ/dα, dR/dα and dV/dα.

    With U = (V, −V°), G = UᵀU and the averages I₃ and I₄ of all K + M fields:

        dQ_ik/dα = −η Σ_a [G_ia I₃(i, k, a) + G_ka I₃(k, i, a)]
                   + η² [Σ_ab G_ia G_kb I₄(i, k, a, b) + σ² G_ik ⟨g'_i g'_k⟩]
        dR_in/dα = −η Σ_a G_ia I₃(i, n, a),        dV_oi/dα = −η_v Σ_a U_oa ⟨g_a g_i⟩

    Args:
        overlaps: Overlaps normalized by "fields".
        readout: V, `[..., O, K]`.
        teacher_readout: V°, `[..., O, M]`.
        averages: Gaussian averages of both networks' activations.
        rates: Learning rates and noise.

    Raises:
        InputError: If the terms in η² are not left out and have no closed form.
    """
    K, C = readout.shape[-1], overlaps.covariance
    gram = joint_gram(readout, teacher_readout)
    drift = torch.einsum("...ia,...ika->...ik", gram[..., :K, :], averages.drifts(C)[..., :K, :, :])
    eta, eta_readout, sigma = (
        torch.as_tensor(each, dtype=torch.float64)[..., None, None]
        for each in (rates.lowest, rates.readout, rates.noise)
    )
    dQ = -eta * (drift[..., :K] + drift[..., :K].mT)
    dR = -eta * drift[..., K:]
    if not rates.small_rate:
        fourth = averages.diffusions(C)[..., :K, :K, :, :]
        fluctuation = torch.einsum("...ia,...kb,...ikab->...ik", gram[..., :K, :], gram[..., :K, :], fourth)
        fluctuation = fluctuation + sigma**2 * gram[..., :K, :K] * averages.gains(C)[..., :K, :K]
        dQ = dQ + eta**2 * fluctuation
    U = joint_readout(readout, teacher_readout)
    return dQ, dR, -eta_readout * U @ averages.products(C)[..., :K]


def learning_curve(
    initial: OrderParameters,
    readout: Tensor,
    teacher_readout: Tensor,
    averages: GaussianAverages,
    rates: Rates,
    alpha: Tensor,
    rtol: float = 1e-7,
) -> Trajectory:
    """Integrate `derivatives` from an initial state, by scipy's Runge-Kutta method of order 5(4).

    Args:
        initial: Overlaps at α = alpha[0], normalized by "fields".
        readout: V at that time, `[..., O, K]`.
        teacher_readout: V°, `[..., O, M]`.
        averages: Gaussian averages of both networks' activations.
        rates: Learning rates and noise.
        alpha: Increasing times, `[times]`.
        rtol: Relative error allowed in a step; the allowed absolute error is a hundredth of it.

    Raises:
        InputError: If terms in η² have no closed form, or a solution grows without bound.
    """
    teacher_readout, T = teacher_readout.double(), initial.T
    parts = [part.double() for part in (initial.Q, initial.R, readout)]
    sizes = [part.numel() for part in parts]

    def state(values: np.ndarray) -> list[Tensor]:
        flat = torch.from_numpy(np.ascontiguousarray(values)).split(sizes)
        return [values.reshape(part.shape) for values, part in zip(flat, parts, strict=True)]

    def slope(_: float, values: np.ndarray) -> np.ndarray:
        Q, R, V = state(values)
        change = derivatives(OrderParameters(Q, R, T), V, teacher_readout, averages, rates)
        return torch.cat([part.flatten() for part in change]).numpy()

    def bounded(_: float, values: np.ndarray) -> float:
        return BOUND - np.abs(values).max()

    bounded.terminal = True  # type: ignore[attr-defined]
    start = torch.cat([part.flatten() for part in parts]).numpy()
    times = alpha.double().numpy()
    solution = solve_ivp(slope, (times[0], times[-1]), start, t_eval=times, events=bounded, rtol=rtol, atol=rtol / 100)
    if solution.status != 0:
        raise InputError(
            f"the equations of learning have no solution up to α = {times[-1]:g} (overlaps pass {BOUND:g} at "
            f"α = {solution.t[-1] if len(solution.t) else 0:g}): lower the learning rate"
        )
    Q, R, V = (torch.stack(each) for each in zip(*(state(values) for values in solution.y.T), strict=True))
    overlaps = OrderParameters(Q, R, T.expand(len(times), *T.shape))
    return Trajectory(alpha, overlaps, V, population_loss(overlaps, V, teacher_readout, averages))
