import numpy as np
import torch

from tsl.metrics.functional import fan_out_strength


def test_the_norm_of_each_column() -> None:
    weight = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = fan_out_strength(weight)
    assert result.shape == (2, 3, 5)
    np.testing.assert_allclose(result, np.sqrt((weight.numpy() ** 2).sum(axis=-2)), rtol=1e-12)
