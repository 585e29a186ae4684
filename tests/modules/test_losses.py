import numpy as np
import torch

from tsl.modules import half_squared_error, mse


def test_losses_equal_the_loop_that_defines_them() -> None:
    student, teacher = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    for r in range(3):
        squares = [
            [(s - t) ** 2 for s, t in zip(*rows, strict=True)] for rows in zip(student[r], teacher[r], strict=True)
        ]
        np.testing.assert_allclose(half_squared_error(student, teacher)[r], sum(map(sum, squares)) / 2 / 5, rtol=1e-12)
        np.testing.assert_allclose(mse(student, teacher)[r], sum(map(sum, squares)) / 5 / 4, rtol=1e-12)
