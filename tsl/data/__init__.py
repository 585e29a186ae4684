"""LightningDataModules and the inputs they draw."""

from tsl.data.augmentation import Augmentation, TeacherAgnostic, TeacherAware
from tsl.data.distributions import Gaussian, InputDistribution
from tsl.data.loaders import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.samples import Samples
from tsl.data.synthetic import SyntheticDataModule

__all__ = [
    "Augmentation",
    "ChunkLoader",
    "EvaluationLoader",
    "Gaussian",
    "InputDistribution",
    "MinibatchSampler",
    "Samples",
    "SyntheticDataModule",
    "TeacherAgnostic",
    "TeacherAware",
]
