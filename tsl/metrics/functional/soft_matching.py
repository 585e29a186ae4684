"""The best soft matching of two layers of any widths."""

from math import lcm

import numpy as np
import torch
from torch import Tensor

COPIES = 4
"""The largest assignment problem, in multiples of the wider layer's nodes; beyond, the linear program is faster."""


def soft_matching(correlation: Tensor) -> Tensor:
    """The mean correlation of the best soft matching: every node has the same weight in its layer, and may split it.

    max over P ≥ 0 with row sums 1/m and column sums 1/n of Σ_jk P_jk ρ_jk. For layers of the same width the best P is a
    permutation, and this is `one_to_one_mean`. The solution is exact: if a few copies of each node make the widths
    equal (64 and 128 nodes, for example), it is an assignment of the copies, otherwise a linear program.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.

    Returns:
        `[...]`, in [−1, 1]; higher is closer, and it is the same with m and n swapped; NaN where a correlation is NaN.
        Cost: cubic in the nodes, on the CPU.

    Source: Khosla and Williams 2024, "Soft matching distance: a metric on neural representations that captures
    single-neuron tuning", for correlations instead of distances.

    Example:
        >>> round(soft_matching(torch.tensor([[0.9, 0.8], [0.9, 0.1]])).item(), 4)
        0.85
        >>> round(soft_matching(torch.tensor([[0.9, 0.5]])).item(), 4)
        0.7
    """
    *leading, m, n = correlation.shape
    matrices = correlation.detach().cpu().double().reshape(-1, m, n).numpy()
    values = [_matched(matrix) for matrix in matrices]
    return torch.tensor(values, dtype=correlation.dtype, device=correlation.device).reshape(leading)


def _matched(matrix: np.ndarray) -> float:
    from scipy.optimize import linear_sum_assignment

    m, n = matrix.shape
    if np.isnan(matrix).any():
        return np.nan
    common = lcm(m, n)
    if common > COPIES * max(m, n):
        return _by_linear_program(matrix)
    copies = matrix.repeat(common // m, axis=0).repeat(common // n, axis=1)
    return float(copies[linear_sum_assignment(copies, maximize=True)].mean())


def _by_linear_program(matrix: np.ndarray) -> float:
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    m, n = matrix.shape
    sums = vstack([kron(eye_array(m), np.ones((1, n))), kron(np.ones((1, m)), eye_array(n))])
    weights = np.concatenate([np.full(m, 1 / m), np.full(n, 1 / n)])
    return -float(linprog(-matrix.ravel(), A_eq=sums, b_eq=weights).fun)
