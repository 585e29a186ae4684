import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from tsl.metrics.functional import one_to_one_mean, soft_matching


def by_definition(rho: np.ndarray) -> float:
    """Every sum of rows and of columns as one dense equation."""
    m, n = rho.shape
    equations, sums = [], []
    for j in range(m):
        cells = np.zeros((m, n))
        cells[j] = 1
        equations.append(cells.ravel())
        sums.append(1 / m)
    for k in range(n):
        cells = np.zeros((m, n))
        cells[:, k] = 1
        equations.append(cells.ravel())
        sums.append(1 / n)
    return -linprog(-rho.ravel(), A_eq=np.array(equations), b_eq=sums).fun


@pytest.mark.parametrize("shape", [(1, 4), (4, 4), (3, 6), (4, 6), (7, 9), (1, 1), (9, 7)])
def test_it_is_the_best_transport(shape: tuple[int, int]) -> None:
    rho = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    values = soft_matching(rho)
    assert values.shape == (2,)
    for value, matrix in zip(values, rho, strict=True):
        assert value.item() == pytest.approx(by_definition(matrix.numpy()), abs=1e-9)
    torch.testing.assert_close(values, soft_matching(rho.mT))


def test_of_equal_widths_it_is_one_to_one_and_of_copies_it_is_1() -> None:
    rho = torch.rand(3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(soft_matching(rho), one_to_one_mean(rho))
    assert soft_matching(torch.eye(4).repeat_interleave(3, dim=1)).item() == 1


def test_nan_stays_with_its_replicate() -> None:
    correlation = torch.tensor([[[0.9, 0.2], [torch.nan, 0.8]], [[0.9, 0.2], [0.3, 0.8]]])
    assert soft_matching(correlation).tolist() == pytest.approx([float("nan"), 0.85], nan_ok=True)
