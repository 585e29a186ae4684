"""One replicate's loss over all its training inputs, as a function of one vector of parameters.

Letters: N inputs, p trained parameters, O outputs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.func import functional_call, grad_and_value

from tsl.networks import MLP


class FullBatch:
    """A student's loss over N inputs, and its trained parameters as one vector.

    Args:
        student: A student of one replicate, in evaluation mode; its parameters are not changed.
        loss: The objective, a function of student and teacher outputs `[1, N, O]` that returns `[1]`.
        inputs: `[1, N, d]`.
        targets: The teacher's outputs, `[1, N, O]`.
    """

    def __init__(self, student: MLP, loss: Callable[[Tensor, Tensor], Any], inputs: Tensor, targets: Tensor) -> None:
        self.student = student
        self.loss = loss
        self.inputs = inputs
        self.targets = targets
        self.trained = {name: p.detach() for name, p in student.named_parameters() if p.requires_grad}

    @property
    def start(self) -> Tensor:
        """The student's own trained parameters, `[p]`."""
        return self.flattened(self.trained)

    def __call__(self, parameters: Tensor) -> Tensor:
        """The loss at parameters `[p]`."""
        outputs = functional_call(self.student, self.named(parameters), (self.inputs,))
        result: Tensor = self.loss(outputs, self.targets)
        return result.squeeze()

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """The parameters `[p]` by their names, each in its own shape."""
        parts = parameters.split([p.numel() for p in self.trained.values()])
        return {name: part.reshape(p.shape) for part, (name, p) in zip(parts, self.trained.items(), strict=True)}

    def flattened(self, named: dict[str, Tensor]) -> Tensor:
        """The inverse of `named`."""
        return torch.cat([named[name].flatten() for name in self.trained])

    def rescalings(self, parameters: Tensor) -> Tensor:
        """The directions in which a node is scaled up and its fan-out down, `[s, p]`; the loss is constant along them.

        There is one for each hidden node whose activation has a `degree`, if its layer and the next are both trained.
        """
        named, directions = self.named(parameters), []
        degree = self.student.activation.degree
        for layer, nodes in enumerate(self.student.widths):
            below, bias, above = f"layers.{layer}.weight", f"layers.{layer}.bias", f"layers.{layer + 1}.weight"
            if degree is None or not {below, above} <= named.keys():
                continue
            for node in range(nodes):
                change = {name: torch.zeros_like(p) for name, p in named.items()}
                change[below][:, node] = named[below][:, node]
                if bias in named:
                    change[bias][:, node] = named[bias][:, node]
                change[above][:, :, node] = -degree * named[above][:, :, node]
                directions.append(self.flattened(change))
        return torch.stack(directions) if directions else parameters.new_zeros(0, len(parameters))


def minimized(loss: FullBatch, tolerance: float, most_iterations: int) -> tuple[Tensor, int]:
    """Minimize the loss by scipy's L-BFGS, starting from the student's own parameters.

    It is restarted while this halves the gradient's norm, because rounding ends a line search too early near a minimum.

    Args:
        loss: The loss.
        tolerance: The gradient's norm at which to stop.
        most_iterations: Iterations after which to stop.

    Returns:
        The parameters `[p]`, and the iterations taken.
    """
    gradient = grad_and_value(loss)

    def value_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, value = gradient(torch.from_numpy(parameters))
        return value.item(), slope.numpy()

    at, taken, norm = loss.start, 0, np.inf
    while taken < most_iterations:
        options = {
            "maxiter": most_iterations - taken,
            "maxfun": 10 * most_iterations,
            "ftol": 0.0,
            "gtol": tolerance / len(at) ** 0.5,  # scipy compares it with the largest entry
            "maxcor": 50,
        }
        result = minimize(value_and_gradient, at.numpy(), jac=True, method="L-BFGS-B", options=options)
        at, taken = torch.from_numpy(result.x), taken + max(result.nit, 1)
        before, norm = norm, float(np.linalg.norm(result.jac))
        if norm <= tolerance or norm > before / 2:
            break
    return at, taken
