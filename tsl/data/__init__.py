"""LightningDataModules and the inputs they draw."""

from tsl.data.distributions import Gaussian, InputDistribution
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.synthetic import SyntheticDataModule

__all__ = [
    "ChunkLoader",
    "EvaluationLoader",
    "Gaussian",
    "InputDistribution",
    "MinibatchSampler",
    "SyntheticDataModule",
]
