import scipy.stats
import torch

from tsl.data import Gaussian
from tsl.randomness import generator


def test_gaussian_is_normal_with_its_standard_deviation() -> None:
    sample = Gaussian(std=1.5).sample(5000, 4, generator("val_inputs", 0))
    assert sample.shape == (5000, 4)
    assert scipy.stats.kstest(sample.flatten().numpy() / 1.5, "norm").pvalue > 1e-3


def test_a_seed_repeats_the_sample() -> None:
    first, second = (Gaussian().sample(10, 3, generator("val_inputs", 1)) for _ in range(2))
    assert torch.equal(first, second)
