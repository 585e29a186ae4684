import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special

from tsl.errors import InputError
from tsl.theory.activation import Activation, checked_activation

REFERENCES: dict[Activation, Callable[[np.ndarray], np.ndarray]] = {
    Activation("relu"): lambda x: np.maximum(x, 0),
    Activation("relu", 0.3): lambda x: np.maximum(x, 0.3 * x),
    Activation("relu", 1.0): lambda x: x,
    Activation("erf"): lambda x: special.erf(x / math.sqrt(2)),
    Activation("tanh"): np.tanh,
    Activation("sigmoid"): special.expit,
    Activation("quadratic"): np.square,
    Activation("linear"): lambda x: x,
}


@pytest.mark.parametrize("activation", REFERENCES, ids=str)
def test_an_activation_is_that_of_numpy_and_its_derivative_that_of_autograd(activation: Activation) -> None:
    pre = torch.linspace(-3, 3, 40, dtype=torch.float64).reshape(4, 2, 5).requires_grad_()  # without 0
    post = activation(pre)
    np.testing.assert_allclose(post.detach(), REFERENCES[activation](pre.detach().numpy()), rtol=1e-14, atol=1e-16)
    (derivative,) = torch.autograd.grad(post.sum(), pre)
    torch.testing.assert_close(activation.gate(pre.detach()), derivative, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("activation", REFERENCES, ids=str)
def test_only_piecewise_linear_ones_are_their_derivative_times_the_input(activation: Activation) -> None:
    pre = torch.linspace(-3, 3, 40, dtype=torch.float64)
    assert torch.allclose(activation.gate(pre) * pre, activation(pre)) == activation.is_piecewise_linear


@pytest.mark.parametrize("activation", REFERENCES, ids=str)
def test_the_degree_is_the_power_with_which_it_grows(activation: Activation) -> None:
    pre = torch.linspace(-3, 3, 40, dtype=torch.float64)
    powers = [n for n in range(1, 4) if torch.allclose(activation(1.7 * pre), 1.7**n * activation(pre))]
    assert powers == ([] if activation.degree is None else [activation.degree])


def test_a_slope_below_zero_is_of_relu_alone() -> None:
    with pytest.raises(InputError, match=r"negative_slope = 0\.1 with activation: erf: only relu has a slope"):
        checked_activation("erf", 0.1)
