"""LightningDataModules and the inputs they draw."""

from tsl.data.augmentation import Augmentation, TeacherAgnostic, TeacherAware
from tsl.data.batch import Labelled
from tsl.data.cifar10 import CIFAR10DataModule
from tsl.data.data_module import DataModule
from tsl.data.distributions import Gaussian, InputDistribution, Laplace, LogNormal, Rademacher, StudentT, Uniform
from tsl.data.image_folder import ImageFolderDataModule
from tsl.data.images import ImageDataModule, ImageSet
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.samples import Chunk, Samples
from tsl.data.structured_distributions import CorrelatedGaussian, GaussianMixture, LowDimensionalGaussian, Sphere
from tsl.data.synthetic import SyntheticDataModule
from tsl.data.tensor_file import TensorFile

__all__ = [
    "Augmentation",
    "CIFAR10DataModule",
    "Chunk",
    "ChunkLoader",
    "CorrelatedGaussian",
    "DataModule",
    "EvaluationLoader",
    "Gaussian",
    "GaussianMixture",
    "ImageDataModule",
    "ImageFolderDataModule",
    "ImageSet",
    "InputDistribution",
    "Labelled",
    "Laplace",
    "LogNormal",
    "LowDimensionalGaussian",
    "MinibatchSampler",
    "Rademacher",
    "Samples",
    "Sphere",
    "StudentT",
    "SyntheticDataModule",
    "TeacherAgnostic",
    "TeacherAware",
    "TensorFile",
    "Uniform",
]
