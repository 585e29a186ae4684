"""LightningDataModules and the inputs they draw."""

from tsl.data.distributions import Gaussian, InputDistribution, Laplace, LogNormal, Rademacher, StudentT, Uniform
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.structured_distributions import CorrelatedGaussian, GaussianMixture, LowDimensionalGaussian, Sphere
from tsl.data.synthetic import SyntheticDataModule
from tsl.data.tensor_file import TensorFile

__all__ = [
    "ChunkLoader",
    "CorrelatedGaussian",
    "EvaluationLoader",
    "Gaussian",
    "GaussianMixture",
    "InputDistribution",
    "Laplace",
    "LogNormal",
    "LowDimensionalGaussian",
    "MinibatchSampler",
    "Rademacher",
    "Sphere",
    "StudentT",
    "SyntheticDataModule",
    "TensorFile",
    "Uniform",
]
