import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.metrics import NodeCorrelation
from tsl.metrics.functional.cross_moments import CrossMoments, constant_nodes, cross_moments, merge


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_moments_close(moments: CrossMoments, expected: CrossMoments) -> None:
    for name, got, wanted in zip(CrossMoments._fields, moments, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize(("m", "n", "samples"), [(2, 3, 50), (300, 500, 700), (1, 1, 200_000)])
def test_moments_against_numpy_whatever_the_blocks(m: int, n: int, samples: int) -> None:
    teacher, student = normal(samples, m) + 3, normal(samples, n, seed=1) - 2
    moments = cross_moments(teacher, student, full=True)
    scatter = np.cov(np.hstack([teacher, student]).T) * (samples - 1)
    np.testing.assert_allclose(moments.teacher_mean, teacher.numpy().mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.student_mean, student.numpy().mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.teacher_scatter, scatter[:m, :m], atol=1e-8)
    np.testing.assert_allclose(moments.student_scatter, scatter[m:, m:], atol=1e-8)
    np.testing.assert_allclose(moments.cross_scatter, scatter[:m, m:], atol=1e-8)
    diagonal = cross_moments(teacher, student, full=False)
    torch.testing.assert_close(diagonal.teacher_scatter, moments.teacher_scatter.diagonal())
    torch.testing.assert_close(diagonal.student_scatter, moments.student_scatter.diagonal())
    torch.testing.assert_close(diagonal.cross_scatter, moments.cross_scatter)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("replicates", [[], [1], [5], [2, 3]])
def test_replicates_are_independent(full: bool, replicates: list[int]) -> None:
    teacher, student = normal(*replicates, 400, 100), normal(*replicates, 400, 120, seed=1)
    moments = cross_moments(teacher, student, full=full)
    index = tuple(size - 1 for size in replicates)
    alone = cross_moments(teacher[index], student[index], full=full)
    assert_moments_close(CrossMoments(*moments[:2], *(moment[index] for moment in moments[2:])), alone)


@pytest.mark.parametrize("full", [False, True])
def test_merge_is_the_moments_of_both_and_an_empty_part_changes_nothing(full: bool) -> None:
    teacher, student = normal(2, 30, 3) * 5 + 100, normal(2, 30, 4, seed=1)
    whole = cross_moments(teacher, student, full=full)
    for split in (0, 1, 13, 30):
        parts = zip(teacher.split([split, 30 - split], 1), student.split([split, 30 - split], 1), strict=True)
        first, second = (cross_moments(t, s, full=full) for t, s in parts)
        assert_moments_close(merge(first, second), whole)
        assert_moments_close(merge(second, first), whole)


def test_many_merges_of_a_constant_leave_it_constant() -> None:
    moments = cross_moments(torch.full((3, 1), 0.1, dtype=torch.float64), torch.full((3, 1), 1e5 / 3), full=False)
    total = moments
    for samples in range(1, 300):
        part = torch.full((samples, 1), 0.1, dtype=torch.float64)
        total = merge(total, cross_moments(part, torch.full((samples, 1), 1e5 / 3), full=False))
    assert [flags.item() for flags in constant_nodes(total)] == [True, True]


def test_the_coarsest_precision_counts() -> None:
    fine, coarse = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1)
    assert cross_moments(fine, coarse, full=False).resolution == torch.finfo(torch.float32).eps
    merged = merge(cross_moments(fine, fine, full=False), cross_moments(coarse, coarse, full=False))
    assert merged.resolution == torch.finfo(torch.float32).eps


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_products_in_float32_cost_a_few_millionths(offset: float) -> None:
    """Also where a mean is a thousand times the spread, and over many blocks; a node with itself comes to 1."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(20_000, 8, generator=generator) + offset
    student = teacher.roll(1, dims=1) + torch.randn(20_000, 8, generator=generator)
    student[:, 0] = teacher[:, 0]
    fast, exact = NodeCorrelation(8, 8, products=torch.float32), NodeCorrelation(8, 8)
    for start in range(0, 20_000, 7_000):
        for metric in (fast, exact):
            metric.update(teacher[start : start + 7_000], student[start : start + 7_000])
    torch.testing.assert_close(fast.compute(), exact.compute(), rtol=0, atol=5e-6)
    assert fast.compute().dtype == torch.float64
