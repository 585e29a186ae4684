"""Teacher and student networks as plain torch modules, and their initializations."""

from tsl.networks.batch_norm import ReplicatedBatchNorm
from tsl.networks.committee import CommitteeInitialization
from tsl.networks.conditioning import condition
from tsl.networks.convnet import ConvNet, ReplicatedConv2d
from tsl.networks.deep_initialization import DeepSeparableInitialization, DefaultInitialization
from tsl.networks.effective import effective_layers, squared_strengths
from tsl.networks.external import External
from tsl.networks.external_student import ExternalStudent
from tsl.networks.feed_forward import FeedForward, ReplicatedLinear
from tsl.networks.initialization import (
    AdversarialInitialization,
    FromFile,
    GaussianInitialization,
    Initialization,
    SeparableInitialization,
)
from tsl.networks.like_teacher import LikeTeacher, WithWidths
from tsl.networks.mlp import MLP
from tsl.networks.network import Activations, Network, TrainableNetwork
from tsl.networks.perturbed_teacher import PerturbedTeacher
from tsl.networks.pretrained import Pretrained, load_network, save_network
from tsl.networks.rows import normalize_weights_
from tsl.networks.shared_initialization import SharedInitialization

__all__ = [
    "MLP",
    "Activations",
    "AdversarialInitialization",
    "CommitteeInitialization",
    "ConvNet",
    "DeepSeparableInitialization",
    "DefaultInitialization",
    "External",
    "ExternalStudent",
    "FeedForward",
    "FromFile",
    "GaussianInitialization",
    "Initialization",
    "LikeTeacher",
    "Network",
    "PerturbedTeacher",
    "Pretrained",
    "ReplicatedBatchNorm",
    "ReplicatedConv2d",
    "ReplicatedLinear",
    "SeparableInitialization",
    "SharedInitialization",
    "TrainableNetwork",
    "WithWidths",
    "condition",
    "effective_layers",
    "load_network",
    "normalize_weights_",
    "save_network",
    "squared_strengths",
]
