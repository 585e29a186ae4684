"""Decides which settings allow compiled steps and evaluations."""

from typing import Any

import torch

from tsl.modules.losses import KL, cross_entropy, half_squared_error, mse
from tsl.modules.sgd import SGD
from tsl.networks import MLP, FeedForward
from tsl.processes import minibatch_share

HOOKS_OF_A_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
PARTS_OF_A_STEP = ("training_step", "take_steps", "objective", "after_step", "configure_optimizers")


def why_not_compiled(module: Any) -> str | None:
    """Part of a message: why neither steps nor evaluations of a `TeacherStudent` can be compiled; None if they can.

    Args:
        module: The module, with its Trainer.
    """
    network, loss, precision = module.trained_network, module.loss, str(module.trainer.precision)
    if type(network) is not MLP:
        return f"the student is a {type(network).__name__}, and only those of tsl.networks.MLP are compiled"
    known = loss in (half_squared_error, mse, cross_entropy) or type(loss) is KL
    reasons = {
        f"the student has batch_norm: {network.batch_norm}": network.batch_norm is not None,
        f"the loss {getattr(loss, '__name__', type(loss).__name__)} is not one of tsl.modules": not known,
        f"the device is {module.device.type}, not the CPU": module.device.type != "cpu",
        f"trainer.precision is {precision}, not 32-true or 64-true": precision not in ("32-true", "64-true"),
        "hooks are registered on the student": has_hooks(network),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def why_eager(module: Any, optimizer: Any) -> str | None:
    """Part of a message: why the steps of a `TeacherStudent` cannot be fused; None if they can.

    Args:
        module: The module, with its Trainer.
        optimizer: Its optimizer.
    """
    if (reason := why_not_compiled(module)) is not None:
        return reason
    trainer, dropout, group = module.trainer, module.trained_network.dropout, optimizer.param_groups[0]
    watching = [c for c in (module, *trainer.callbacks) if any(overrides(c, name) for name in HOOKS_OF_A_STEP)]
    replaced = [name for name in PARTS_OF_A_STEP if not getattr(type(module), name).__module__.startswith("tsl.")]
    reasons = {
        f"the student has dropout {dropout:g}": dropout > 0,
        f"the optimizer is {type(optimizer).__name__}, and only SGD is compiled": type(optimizer)
        not in (torch.optim.SGD, SGD),
        "the optimizer maximizes": bool(group.get("maximize")),
        "the optimizer has several parameter groups": len(optimizer.param_groups) > 1,
        f"{trainer.world_size} processes share each minibatch": minibatch_share(trainer)[1] > 1,
        f"{type(module).__name__} has its own {', '.join(replaced)}": bool(replaced),
        f"{', '.join(type(c).__name__ for c in watching)} watches single steps": bool(watching),
        "hooks are registered on the optimizer": bool(
            optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def overrides(owner: Any, hook: str) -> bool:
    """Whether a module or callback overrides a hook."""
    return not getattr(type(owner), hook).__module__.startswith("pytorch_lightning.")


def has_hooks(network: FeedForward) -> bool:
    """Whether hooks are registered that run in every forward or backward pass."""
    of_modules = any(
        each._forward_hooks or each._forward_pre_hooks or each._backward_hooks for each in network.modules()
    )
    return of_modules or any(each._backward_hooks for each in network.parameters())
