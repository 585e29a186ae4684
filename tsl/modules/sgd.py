"""Stochastic gradient descent with a learning rate for each replicate."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler

from tsl.errors import InputError
from tsl.networks import FeedForward, TrainableNetwork
from tsl.replicates import PerReplicate, per_replicate

MULTIPLYING = (
    *(lr_scheduler.StepLR, lr_scheduler.MultiStepLR, lr_scheduler.ExponentialLR, lr_scheduler.LambdaLR),
    *(lr_scheduler.MultiplicativeLR, lr_scheduler.ConstantLR, lr_scheduler.LinearLR, lr_scheduler.PolynomialLR),
)
"""Schedules that multiply the current rate."""


class SGD(torch.optim.SGD):
    """`torch.optim.SGD`, in which `lr` may be a list that repeats along the replicates.

    Replicate r then takes the same steps as a single run with its rate. The parameter group's "lr" is the factor by
    which a schedule has multiplied all rates, 1 at first, and "rates" are the rates at factor 1, one for each
    replicate.

    Args:
        params: Parameters `[R, ...]`.
        lr: Learning rate, or a list of them.
        momentum: Momentum μ.
        dampening: Dampening τ of the momentum.
        weight_decay: Weight decay λ.
        nesterov: Whether momentum is Nesterov's.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: PerReplicate[PositiveFloat] = 0.01,
        momentum: NonNegativeFloat = 0.0,
        dampening: float = 0.0,
        weight_decay: NonNegativeFloat = 0.0,
        nesterov: bool = False,
    ) -> None:
        one_rate = 1.0 if isinstance(lr, list) else float(lr)
        super().__init__(params, one_rate, float(momentum), dampening, float(weight_decay), nesterov)
        for group in self.param_groups:
            rates = per_replicate(lr, len(group["params"][0]), "model.init_args.optimizer.init_args.lr")
            group["rates"] = [float(rate) for rate in rates] if isinstance(lr, list) else None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step."""
        if all(group["rates"] is None for group in self.param_groups):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_of(parameter, parameter.grad, group)
        return loss

    def _step_of(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        change = gradient.add(parameter, alpha=group["weight_decay"])
        if momentum := group["momentum"]:
            state = self.state[parameter]
            if "momentum_buffer" in state:
                state["momentum_buffer"].mul_(momentum).add_(change, alpha=1 - group["dampening"])
            else:
                state["momentum_buffer"] = change.clone()
            velocity = state["momentum_buffer"]
            change = change.add(velocity, alpha=momentum) if group["nesterov"] else velocity
        rates = torch.tensor([group["lr"] * rate for rate in group["rates"]]).to(parameter)
        parameter.sub_(rates.reshape(-1, *[1] * (parameter.ndim - 1)) * change)


def rates_of(group: dict[str, Any], replicates: int) -> list[float]:
    """The learning rate of each replicate, of an optimizer's parameter group."""
    rates: list[float] = group.get("rates") or [1.0] * replicates
    return [group["lr"] * rate for rate in rates]


def check_optimizer(optimizer: Optimizer, replicates: int) -> None:
    """Refuse an optimizer that cannot take the steps, or would mix replicates.

    Raises:
        InputError: If it cannot, or would mix them.
    """
    kind = type(optimizer)
    reason = None
    if inspect.signature(kind.step).parameters["closure"].default is inspect.Parameter.empty:
        reason = "computes the loss several times in a step"
    elif isinstance(optimizer, torch.optim.SparseAdam):
        reason = "takes sparse gradients"
    elif isinstance(optimizer, torch.optim.Adafactor) and replicates > 1:
        reason = "scales the steps of all replicates by one number"
    if reason is not None:
        raise InputError(
            f"model.init_args.optimizer = {kind.__name__} {reason}: choose one that works entry by entry, such as "
            "torch.optim.SGD or torch.optim.Adam"
        )


def check_rates(optimizer: Optimizer, network: TrainableNetwork) -> None:
    """Refuse a list of learning rates if the network's parameters have no replicate axis.

    Raises:
        InputError: If there is a list and they have none.
    """
    if isinstance(optimizer, SGD) and optimizer.param_groups[0]["rates"] and not isinstance(network, FeedForward):
        raise InputError(
            f"model.init_args.optimizer.init_args.lr lists learning rates, but a {type(network).__name__} takes one "
            "for all replicates: give one number"
        )


def check_schedule(optimizer: Optimizer, schedule: Any) -> None:
    """Refuse a schedule that would set one rate for all replicates if their rates differ.

    Raises:
        InputError: If it would.
    """
    if isinstance(optimizer, SGD) and optimizer.param_groups[0]["rates"] and not isinstance(schedule, MULTIPLYING):
        names = ", ".join(kind.__name__ for kind in MULTIPLYING)
        raise InputError(
            f"model.init_args.lr_scheduler = {type(schedule).__name__} sets learning rates itself, but "
            "model.init_args.optimizer.init_args.lr lists one for each replicate: choose a schedule of "
            f"torch.optim.lr_scheduler that multiplies them ({names}), or give one rate"
        )


def check_list_of_rates(parsing_error: str) -> None:
    """Explain a parser's error if it is due to a list of learning rates for an optimizer that takes one.

    Raises:
        InputError: If it is.
    """
    refused = re.search(r"class_path='([\w.]+)', init_args=Namespace\([^)]*\blr=(\[[^\]]*\])", parsing_error)
    if refused:
        raise InputError(
            f"model.init_args.optimizer.init_args.lr = {refused[2]}: {refused[1]} takes one learning rate for all "
            "replicates, because its steps multiply the gradients of all by one number. Set model.init_args.optimizer "
            "to tsl.modules.SGD, which takes one for each replicate, or give one number"
        )
