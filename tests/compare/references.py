"""What compare must give, spelled out in numpy for whole sets of inputs."""

import numpy as np

Array = np.ndarray


def correlation(t: Array, s: Array) -> Array:
    return np.array([[np.corrcoef(t[:, j], s[:, k])[0, 1] for k in range(s.shape[1])] for j in range(t.shape[1])])


def unbiased_hsic(K: Array, L: Array) -> float:
    """Song et al. 2012, equation 5, letter by letter."""
    n, one = len(K), np.ones(len(K))
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    product = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return float((np.trace(K @ L) + product - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3)))


def minibatch_cka(blocks: list[tuple[Array, Array]]) -> float:
    sums = np.zeros(3)
    for t, s in blocks:
        K, L = t @ t.T, s @ s.T
        sums += len(t) * np.array([unbiased_hsic(K, L), unbiased_hsic(K, K), unbiased_hsic(L, L)])
    return float(sums[0] / np.sqrt(sums[1] * sums[2]))
