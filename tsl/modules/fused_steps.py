"""K optimizer steps in one compiled call for each replicate: for which settings, and the call.

Letters: R replicates, N inputs, K minibatches, B inputs in a minibatch.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from tsl.modules.losses import KL, cross_entropy, half_squared_error, mse
from tsl.modules.sgd import SGD, rates_of
from tsl.networks import MLP, FeedForward

HOOKS_OF_A_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
PARTS_OF_A_STEP = ("training_step", "take_steps", "objective", "after_step", "configure_optimizers")


class FusedSteps:
    """Takes the steps of SGD of R MLPs: what `StepModule` takes with autograd, a replicate on one core for K steps.

    Replicates are handed one at a time to `torch.get_num_threads()` threads, so that a core with other work takes fewer
    of them. Momentum lives in the optimizer's state, where eager steps keep theirs.

    Args:
        network: The networks, MLPs.
        optimizer: Of their trained parameters.
        loss: One of `tsl.modules.losses`.
        unit_norm: Whether hidden nodes are scaled to unit norm after every step.
    """

    def __init__(self, network: FeedForward, optimizer: torch.optim.SGD, loss: Any, unit_norm: bool) -> None:
        from tsl.modules import kernel  # imports numba, which eager runs do without

        self.kernel: Any = kernel
        self.optimizer: Any = optimizer
        self.loss = loss
        self.network = network
        self.unit_norm = unit_norm
        self.widths = np.array([*(layer.weight.shape[2] for layer in network.layers), network.output_dim])
        self.trained = np.array([layer.weight.requires_grad for layer in network.layers])
        self.blas = ThreadpoolController()

    @torch.no_grad()
    def __call__(self, inputs: Tensor, targets: Tensor, index: Tensor) -> Tensor:
        """Take K steps.

        Args:
            inputs: `[R, N, ...]`.
            targets: What the outputs are to be, `[R, N, outputs]`.
            index: Which inputs each minibatch takes, `[R, K, B]`.

        Returns:
            The losses before each step, `[K, R]` float64.
        """
        replicates, steps, batch = index.shape
        weights: list[Tensor] = [layer.weight for layer in self.network.layers]
        biases = [layer.bias for layer in self.network.layers if layer.bias is not None]
        W, b = flat(weights), flat(biases or [weight.new_zeros(weight.shape[:2]) for weight in weights])
        V, v = self._momentum(weights, W), self._momentum(biases, b)
        G, g = torch.empty_like(W), torch.empty_like(b)
        losses = torch.empty(replicates, steps, dtype=torch.float64)
        arrays = [each.numpy() for each in (inputs.flatten(2), targets, index, W, b, V, v, G, g, losses)]
        settings, begun = self._settings(batch), len(self.optimizer.state) > 0
        rates = rates_of(self.optimizer.param_groups[0], replicates)

        def train(r: int) -> None:
            of_replicate = [np.ascontiguousarray(each[r]) for each in arrays]  # a copy of none but odd inputs
            self.kernel.take_steps(settings, self.widths, self.trained, rates[r], begun, *of_replicate)

        with self.blas.limit(limits=1, user_api="blas"):
            if (threads := min(torch.get_num_threads(), replicates)) == 1:
                for r in range(replicates):
                    train(r)
            else:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(train, range(replicates)))
        self._write_back(weights, W, V, G)
        self._write_back(biases, b, v, g)
        self.optimizer._opt_called = True  # or torch warns that a schedule is stepped before the optimizer
        return losses.T

    def _settings(self, batch: int) -> Any:
        group, kernel = self.optimizer.param_groups[0], self.kernel
        objectives = {half_squared_error: kernel.SQUARED, mse: kernel.SQUARED, cross_entropy: kernel.MOST_LIKELY}
        return kernel.Settings(
            activation=kernel.LEAKY_RELU,
            slope=float(self.network.negative_slope),
            objective=objectives.get(self.loss, kernel.SOFT),
            scale=2 / (batch * self.network.output_dim) if self.loss is mse else 1 / batch,
            temperature=float(getattr(self.loss, "temperature", 1)),
            momentum=float(group["momentum"]),
            dampening=float(group["dampening"]),
            weight_decay=float(group["weight_decay"]),
            nesterov=bool(group["nesterov"]),
            unit_norm=self.unit_norm,
            bias=self.network.bias,
        )

    def _momentum(self, parameters: Sequence[Tensor], like: Tensor) -> Tensor:
        """The optimizer's momenta, side by side; zeros where there are none."""
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


def as_in_memory(parameter: Tensor) -> Tensor:
    """Weights `[R, out, in]` as `[R, in, out]`, and the other way round; biases `[R, out]` as they are."""
    return parameter.mT if parameter.ndim == 3 else parameter


def flat(parameters: Sequence[Tensor]) -> Tensor:
    """A copy of all layers' parameters, side by side `[R, …]`."""
    return torch.cat([as_in_memory(parameter).flatten(1) for parameter in parameters], dim=1)


def why_eager(module: Any, optimizer: Any) -> str | None:
    """Why the steps of a `TeacherStudent` cannot be fused, in a message's words; None if they can.

    Args:
        module: The module, with its Trainer.
        optimizer: Its optimizer.
    """
    network, trainer, loss = module.trained_network, module.trainer, module.loss
    if type(network) is not MLP:
        return f"the student is a {type(network).__name__}, and only those of tsl.networks.MLP are compiled"
    group = optimizer.param_groups[0]
    known = loss in (half_squared_error, mse, cross_entropy) or type(loss) is KL
    watching = [c for c in (module, *trainer.callbacks) if any(overrides(c, name) for name in HOOKS_OF_A_STEP)]
    replaced = [name for name in PARTS_OF_A_STEP if not getattr(type(module), name).__module__.startswith("tsl.")]
    precision = str(trainer.precision)
    reasons = {
        f"the student has the activation {network.activation.name}, and only relu is compiled": network.activation.name
        != "relu",
        f"the student has batch_norm: {network.batch_norm}": network.batch_norm is not None,
        f"the student has dropout {network.dropout:g}": network.dropout > 0,
        f"the optimizer is {type(optimizer).__name__}, and only SGD is compiled": type(optimizer)
        not in (torch.optim.SGD, SGD),
        "the optimizer maximizes": bool(group.get("maximize")),
        "the optimizer has several parameter groups": len(optimizer.param_groups) > 1,
        f"the loss {getattr(loss, '__name__', type(loss).__name__)} is none of tsl.modules": not known,
        f"the device is {module.device.type}, not the CPU": module.device.type != "cpu",
        f"trainer.precision is {precision}, not 32-true or 64-true": precision not in ("32-true", "64-true"),
        f"{trainer.world_size} processes share each minibatch": trainer.world_size > 1,
        f"{type(module).__name__} has its own {', '.join(replaced)}": bool(replaced),
        f"{', '.join(type(c).__name__ for c in watching)} watches single steps": bool(watching),
        "hooks are registered on the student or its optimizer": has_hooks(network, optimizer),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def overrides(owner: Any, hook: str) -> bool:
    """Whether a module or callback has a hook of its own."""
    return not getattr(type(owner), hook).__module__.startswith("pytorch_lightning.")


def has_hooks(network: FeedForward, optimizer: Any) -> bool:
    """Whether something asks to be called in every forward or backward pass or step."""
    of_modules = any(
        each._forward_hooks or each._forward_pre_hooks or each._backward_hooks for each in network.modules()
    )
    of_parameters = any(each._backward_hooks for each in network.parameters())
    return bool(
        of_modules or of_parameters or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    )
