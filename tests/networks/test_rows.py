from collections.abc import Callable

import numpy as np
import pytest
import torch

from tsl.networks import MLP, normalize_weights_


@pytest.mark.parametrize("bias", [True, False])
def test_normalizing_gives_hidden_rows_unit_norm_and_leaves_directions_and_output(
    make_network: Callable[..., MLP], bias: bool
) -> None:
    made = make_network(bias=bias)
    with torch.no_grad():
        made.layers[1].weight[0, 2] = 0
        if bias:
            made.layers[1].bias[0, 2] = 0
    before = [
        {name: values.detach().clone().numpy() for name, values in layer.named_parameters()} for layer in made.layers
    ]
    normalize_weights_(made)
    for number, (layer, old) in enumerate(zip(made.layers, before, strict=True)):
        for r in range(2):
            for k in range(layer.weight.shape[1]):
                row = np.append(old["weight"][r, k], old["bias"][r, k] if bias else [])
                norm = np.sqrt((row**2).sum()) if number < 2 and row.any() else 1
                np.testing.assert_allclose(layer.weight[r, k].detach(), old["weight"][r, k] / norm, rtol=1e-12)
                if bias:
                    np.testing.assert_allclose(layer.bias[r, k].detach(), old["bias"][r, k] / norm, rtol=1e-12)
    assert all(parameter.requires_grad for parameter in made.parameters())
