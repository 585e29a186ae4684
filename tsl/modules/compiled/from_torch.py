"""Converts torch's networks and objectives to the arguments of compiled code, and calls it on several cores.

Letters: R replicates.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from tsl.modules.compiled.arithmetic import MOST_LIKELY, SOFT, SQUARED, Settings
from tsl.modules.losses import cross_entropy, half_squared_error, mse
from tsl.networks import MLP

ACTIVATIONS = ("relu", "erf", "tanh", "sigmoid", "quadratic", "linear")  # in the order of their numbers in arithmetic
OBJECTIVES = {half_squared_error: SQUARED, mse: SQUARED, cross_entropy: MOST_LIKELY}


def settings_of(network: MLP, loss: Any, batch: int, **more: Any) -> Settings:
    """The settings for compiled code.

    Args:
        network: The networks.
        loss: One of `tsl.modules.losses`.
        batch: Number of inputs over which the loss is averaged.
        more: Settings of the optimizer.
    """
    return Settings(
        activation=ACTIVATIONS.index(network.activation.name),
        slope=float(network.negative_slope),
        objective=OBJECTIVES.get(loss, SOFT),
        scale=2 / (batch * network.output_dim) if loss is mse else 1 / batch,
        temperature=float(getattr(loss, "temperature", 1)),
        bias=network.bias,
        **more,
    )


def widths_of(network: MLP) -> np.ndarray:
    """Input dimension, nodes of each hidden layer, and outputs."""
    return np.array([network.input_dim, *network.widths, network.output_dim])


def weights_and_biases(network: MLP) -> tuple[Tensor, Tensor]:
    """Copies of all layers' weights `[R, Σ in · out]` and biases `[R, Σ out]`; zeros if a layer has no biases."""
    weights: list[Tensor] = [layer.weight for layer in network.layers]
    biases = [layer.bias for layer in network.layers if layer.bias is not None]
    return flat(weights), flat(biases or [weight.new_zeros(weight.shape[:2]) for weight in weights])


def as_in_memory(parameter: Tensor) -> Tensor:
    """Weights `[R, out, in]` as `[R, in, out]`, or the reverse; biases `[R, out]` unchanged."""
    return parameter.mT if parameter.ndim == 3 else parameter


def flat(parameters: Sequence[Tensor]) -> Tensor:
    """A copy of all layers' parameters, side by side `[R, …]`."""
    return torch.cat([as_in_memory(parameter).detach().flatten(1) for parameter in parameters], dim=1)


def of_replicate(tensors: Sequence[Tensor], r: int) -> list[np.ndarray]:
    """Replicate r of tensors `[R, …]`, as arrays that share their memory if it is contiguous, else as copies."""
    return [np.ascontiguousarray(tensor[r].numpy()) for tensor in tensors]


def for_each_replicate(work: Callable[[int], None], replicates: int) -> None:
    """Call `work` for each replicate, on `torch.get_num_threads()` threads.

    Replicates are handed out one at a time, so that a core with other work takes fewer of them.
    """
    with blas().limit(limits=1, user_api="blas"):
        if (threads := min(torch.get_num_threads(), replicates)) == 1:
            for r in range(replicates):
                work(r)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(replicates)))


@cache
def blas() -> ThreadpoolController:
    """The libraries whose own threads are switched off while our threads run."""
    return ThreadpoolController()
