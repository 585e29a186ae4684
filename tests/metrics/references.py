"""Every measure spelled out a second time, in numpy, scipy or sklearn and float64, from its definition.

All take one replicate: teacher [samples, m] and student [samples, n]. Nothing here imports tsl.
"""

from collections.abc import Callable

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import cosine_similarity

Array = NDArray[np.float64]


def _pairs(measure: Callable[[Array, Array], float], teacher: Array, student: Array) -> Array:
    return np.array([[measure(t, s) for s in student.T] for t in teacher.T])


def node_correlation(teacher: Array, student: Array) -> Array:
    return _pairs(lambda t, s: 0.0 if np.ptp(t) == 0 or np.ptp(s) == 0 else np.corrcoef(t, s)[0, 1], teacher, student)


def rank_correlation(teacher: Array, student: Array) -> Array:
    def spearman(t: Array, s: Array) -> float:
        return 0.0 if np.ptp(t) == 0 or np.ptp(s) == 0 else scipy.stats.spearmanr(t, s).statistic

    return _pairs(spearman, teacher, student)


def cosine_correlation(teacher: Array, student: Array) -> Array:
    return cosine_similarity(teacher.T, student.T)


def boundary_observation(teacher: Array, student: Array) -> Array:
    counts = np.zeros((teacher.shape[1], student.shape[1]))
    for j in range(teacher.shape[1]):
        for k in range(student.shape[1]):
            positive = negative = 0
            for t, s in zip(teacher[:, j], student[:, k], strict=True):
                if s > 0 and t > 0:
                    positive += 1
                elif s > 0:
                    negative += 1
            counts[j, k] = min(positive, negative)
    return counts


def dead_node_fraction(teacher: Array, student: Array) -> float:
    return sum(len(set(node)) == 1 for node in student.T) / student.shape[1]


def _centred(activations: Array) -> Array:
    return activations - activations.mean(axis=0)


def _biased_hsic(K: Array, L: Array) -> float:
    centring = np.eye(len(K)) - 1 / len(K)
    return float(np.trace(centring @ K @ centring @ L))


def unbiased_hsic(K: Array, L: Array) -> float:
    """Song et al. 2012, equation 5, letter by letter."""
    samples, one = len(K), np.ones(len(K))
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    trace = np.trace(K @ L)
    product = (one @ K @ one) * (one @ L @ one) / ((samples - 1) * (samples - 2))
    return float((trace + product - 2 / (samples - 2) * one @ K @ L @ one) / (samples * (samples - 3)))


def _alignment(hsic: Callable[[Array, Array], float], K: Array, L: Array) -> float:
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def linear_cka(teacher: Array, student: Array) -> float:
    t, s = _centred(teacher), _centred(student)
    return _alignment(_biased_hsic, t @ t.T, s @ s.T)


def debiased_linear_cka(teacher: Array, student: Array) -> float:
    t, s = _centred(teacher), _centred(student)
    return _alignment(unbiased_hsic, t @ t.T, s @ s.T)


def rv_coefficient(teacher: Array, student: Array) -> float:
    m = teacher.shape[1]
    covariance = np.cov(np.hstack([teacher, student]).T)
    tt, ts, ss = covariance[:m, :m], covariance[:m, m:], covariance[m:, m:]
    return float(np.trace(ts @ ts.T) / np.sqrt(np.trace(tt @ tt) * np.trace(ss @ ss)))


def gaussian_kernel(activations: Array) -> Array:
    samples = len(activations)
    distance = np.array([[np.linalg.norm(x - y) for y in activations] for x in activations])
    width = sorted(distance[i, j] for i in range(samples) for j in range(i))[(samples * (samples - 1) // 2 - 1) // 2]
    return np.exp(-(distance**2) / (2 * width**2))


def minibatch_rbf_cka(batches: list[tuple[Array, Array]]) -> float:
    sums = np.zeros(3)
    for teacher, student in batches:
        K, L = gaussian_kernel(teacher), gaussian_kernel(student)
        sums += [unbiased_hsic(K, L), unbiased_hsic(K, K), unbiased_hsic(L, L)]
    return sums[0] / np.sqrt(sums[1] * sums[2])


def _basis(activations: Array) -> Array:
    """An orthonormal basis of the centred nodes, scaled alike before what is rounding is left out."""
    centred = _centred(activations)
    centred = centred[:, np.ptp(centred, axis=0) > 0]
    vectors, values, _ = np.linalg.svd(centred / np.linalg.norm(centred, axis=0), full_matrices=False)
    return vectors[:, values > 1e-6 * values[0]]


def cca(teacher: Array, student: Array) -> float:
    return float(np.linalg.svd(_basis(teacher).T @ _basis(student), compute_uv=False).mean())


def _principal(activations: Array) -> Array:
    vectors, values, _ = np.linalg.svd(_centred(activations), full_matrices=False)
    kept = 1
    while (values[:kept] ** 2).sum() < 0.99 * (values**2).sum():
        kept += 1
    return vectors[:, :kept]


def svcca(teacher: Array, student: Array) -> float:
    return float(np.linalg.svd(_principal(teacher).T @ _principal(student), compute_uv=False).mean())


def pwcca(teacher: Array, student: Array) -> float:
    basis = _basis(teacher)
    directions, correlations, _ = np.linalg.svd(basis.T @ _basis(student), full_matrices=False)
    weights = np.abs((basis @ directions).T @ _centred(teacher)).sum(axis=1)
    return float(weights @ correlations / weights.sum())


def procrustes_distance(teacher: Array, student: Array) -> float:
    """By the optimal orthogonal map itself, after padding with zero nodes."""
    width = max(teacher.shape[1], student.shape[1])
    t, s = (
        np.pad(_centred(layer) / np.linalg.norm(_centred(layer)), ((0, 0), (0, width - layer.shape[1])))
        for layer in (teacher, student)
    )
    orthogonal, _ = scipy.linalg.orthogonal_procrustes(s, t)
    return float(np.linalg.norm(t - s @ orthogonal))


def procrustes_similarity(teacher: Array, student: Array) -> float:
    return 1 - procrustes_distance(teacher, student) ** 2 / 2


def teacher_from_student(teacher: Array, student: Array) -> float:
    predicted = LinearRegression().fit(student, teacher).predict(student)
    return float(r2_score(teacher, predicted, multioutput="variance_weighted"))


def student_from_teacher(teacher: Array, student: Array) -> float:
    return teacher_from_student(student, teacher)
