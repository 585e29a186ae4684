"""K optimizer steps in one compiled call for each replicate.

Letters: R replicates, N inputs, K minibatches, B inputs in a minibatch.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsl.modules.compiled.arithmetic import Settings
from tsl.modules.compiled.from_torch import (
    as_in_memory,
    flat,
    for_each_replicate,
    of_replicate,
    settings_of,
    weights_and_biases,
    widths_of,
)
from tsl.modules.compiled.training import take_steps
from tsl.modules.sgd import rates_of
from tsl.networks import MLP


def is_kept() -> bool:
    """Whether compiled steps from an earlier run on this machine are loaded."""
    return any(Path(str(take_steps.stats.cache_path)).glob("training.take_steps*.nbi"))


class FusedSteps:
    """Takes the steps of SGD of R MLPs as `StepModule` does with autograd, but each replicate's K steps on one core.

    Momentum is stored in the optimizer's state, as for eager steps.

    Args:
        network: The networks.
        optimizer: The optimizer of their trained parameters.
        loss: One of `tsl.modules.losses`.
        unit_norm: Whether hidden nodes are scaled to unit norm after every step.
    """

    def __init__(self, network: MLP, optimizer: torch.optim.SGD, loss: Any, unit_norm: bool) -> None:
        self.optimizer: Any = optimizer
        self.loss = loss
        self.network = network
        self.unit_norm = unit_norm
        self.widths = widths_of(network)
        self.trained = np.array([layer.weight.requires_grad for layer in network.layers])

    @torch.no_grad()
    def __call__(self, inputs: Tensor, targets: Tensor, index: Tensor, diverged: Tensor | None = None) -> Tensor:
        """Take K steps.

        Args:
            inputs: `[R, N, ...]`.
            targets: Targets of the outputs, `[R, N, outputs]`.
            index: The indices of the inputs in each minibatch, `[R, K, B]`.
            diverged: Which replicates are frozen, bool `[R]`; those that diverge now are added, and stay as they were
                after their last finite step. None takes all steps of all replicates, finite or not.

        Returns:
            The losses before each step, `[K, R]` float64; NaN for a frozen replicate.
        """
        replicates, steps, batch = index.shape
        weights: list[Tensor] = [layer.weight for layer in self.network.layers]
        biases = [layer.bias for layer in self.network.layers if layer.bias is not None]
        W, b = weights_and_biases(self.network)
        V, v = self._momentum(weights, W), self._momentum(biases, b)
        G, g = torch.full_like(W, torch.nan), torch.full_like(b, torch.nan)
        losses = torch.full((replicates, steps), torch.nan, dtype=torch.float64)
        tensors = inputs.flatten(2), targets, index, W, b, V, v, G, g, losses
        settings, begun = self._settings(batch), len(self.optimizer.state) > 0
        rates = rates_of(self.optimizer.param_groups[0], replicates)

        def train(r: int) -> None:
            some_steps = partial(take_steps, settings, self.widths, self.trained, rates[r], begun)
            arrays = of_replicate(tensors, r)
            if diverged is None:
                some_steps(*arrays)
            elif not diverged[r]:
                diverged[r] = not take_finite_steps(some_steps, *arrays)

        for_each_replicate(train, replicates)
        self._write_back(weights, W, V, G)
        self._write_back(biases, b, v, g)
        self.optimizer._opt_called = True  # or torch warns that a schedule is stepped before the optimizer
        return losses.T

    def _settings(self, batch: int) -> Settings:
        group = self.optimizer.param_groups[0]
        return settings_of(
            self.network,
            self.loss,
            batch,
            momentum=float(group["momentum"]),
            dampening=float(group["dampening"]),
            weight_decay=float(group["weight_decay"]),
            nesterov=bool(group["nesterov"]),
            unit_norm=self.unit_norm,
        )

    def _momentum(self, parameters: Sequence[Tensor], like: Tensor) -> Tensor:
        """The optimizer's momenta, joined to one tensor; zeros if there are none."""
        state = self.optimizer.state
        if not any(parameter in state for parameter in parameters):
            return torch.zeros_like(like)
        return flat([state[p]["momentum_buffer"] if p in state else torch.zeros_like(p) for p in parameters])

    def _write_back(self, parameters: Sequence[Tensor], values: Tensor, momenta: Tensor, gradients: Tensor) -> None:
        """Give trained parameters their new values and momenta, and the gradients of the last step."""
        sizes = [parameter[0].numel() for parameter in parameters]
        if not parameters:
            return
        pieces = zip(parameters, *(each.split(sizes, dim=1) for each in (values, momenta, gradients)), strict=True)
        for parameter, value, momentum, gradient in pieces:
            if not parameter.requires_grad:
                continue
            as_in_memory(parameter).copy_(value.view_as(as_in_memory(parameter)))
            parameter.grad = as_in_memory(gradient.view_as(as_in_memory(parameter)))
            if self.optimizer.param_groups[0]["momentum"]:
                buffer = self.optimizer.state[parameter].setdefault("momentum_buffer", torch.empty_like(parameter))
                as_in_memory(buffer).copy_(momentum.view_as(as_in_memory(buffer)))


def take_finite_steps(
    some_steps: Callable[..., None],
    inputs: np.ndarray,
    targets: np.ndarray,
    index: np.ndarray,
    W: np.ndarray,
    b: np.ndarray,
    V: np.ndarray,
    v: np.ndarray,
    G: np.ndarray,
    g: np.ndarray,
    losses: np.ndarray,
) -> bool:
    """Take the steps of one replicate as long as losses and weights are finite; arguments as of the kernel.

    Returns:
        Whether all of them were finite. If not, the losses and gradients are NaN.
    """
    state = W, b, V, v
    start = [each.copy() for each in state]

    def is_finite() -> bool:
        return bool(np.isfinite(W).all() and np.isfinite(b).all())

    some_steps(inputs, targets, index, *state, G, g, losses)
    finite = np.isfinite(losses)
    if finite.all() and is_finite():
        return True
    steps = len(losses) if finite.all() else int(finite.argmin())
    while True:  # retry with fewer steps: a step that makes a weight infinite may still have a finite loss
        for each, value in zip(state, start, strict=True):
            each[:] = value
        some_steps(inputs, targets, index[:steps], *state, G, g, losses)
        if steps == 0 or is_finite():
            break
        steps -= 1
    for each in (G, g, losses):
        each[:] = np.nan
    return False
