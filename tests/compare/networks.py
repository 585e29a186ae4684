"""Small networks to compare."""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from tsl.compare import Comparison

INPUTS = torch.randn(205, 5, generator=torch.Generator().manual_seed(3))


def dense(seed: int, width: int = 7) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(inplace=True), nn.Linear(width, 6), nn.Tanh(), nn.Linear(6, 2))


def convolutional(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        *(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(6 * 16, 5), nn.GELU(), nn.Linear(5, 2)),
    )


def permuted(network: nn.Sequential, seed: int) -> nn.Sequential:
    """`dense` with the nodes of its first layer in another order and rescaled: the same function."""
    copy = deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    lower, upper = copy[0], copy[2]
    assert isinstance(lower, nn.Linear)
    assert isinstance(upper, nn.Linear)
    order = torch.randperm(lower.out_features, generator=generator)
    scale = 0.5 + torch.rand(lower.out_features, generator=generator)
    with torch.no_grad():
        lower.weight.copy_(lower.weight[order] * scale[:, None])
        lower.bias.copy_(lower.bias[order] * scale)
        upper.weight.copy_(upper.weight[:, order] / scale)
    return copy


class Twice(nn.Module):
    """Calls one ReLU twice, the second time in place on a sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lower, self.upper, self.relu = nn.Linear(5, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)
        self.idle = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        inputs.sub_(1)
        hidden = self.relu(self.lower(inputs))
        output: Tensor = self.relu(self.upper(hidden) + hidden)
        return output


def value(found: Comparison, measure: str, layer_a: str, layer_b: str, column: str = "value") -> float:
    rows = found.layers[(found.layers["measure"] == measure)]
    return float(rows[(rows["layer_a"] == layer_a) & (rows["layer_b"] == layer_b)][column].item())


def activations(network: nn.Sequential, inputs: Tensor) -> dict[str, np.ndarray]:
    seen, signal = {}, inputs
    with torch.no_grad():
        for name, module in network.named_children():
            signal = module(signal.clone())
            seen[name] = signal.double().numpy()
    return seen
