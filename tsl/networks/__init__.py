"""Teacher and student networks as plain torch modules, and how their weights start."""

from tsl.networks.initialization import (
    AdversarialInitialization,
    FromFile,
    GaussianInitialization,
    Initialization,
    SeparableInitialization,
)
from tsl.networks.mlp import MLP, Activations, ReplicatedLinear

__all__ = [
    "MLP",
    "Activations",
    "AdversarialInitialization",
    "FromFile",
    "GaussianInitialization",
    "Initialization",
    "ReplicatedLinear",
    "SeparableInitialization",
]
