"""Small networks to compare."""

from copy import deepcopy

import torch
from torch import Tensor, nn


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
