"""What the layer measures must not notice, what they must, and that ill-conditioned layers do them no harm."""

from collections.abc import Callable

import numpy as np
import pytest
import references
import scipy.spatial
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tsl.metrics.functional import (
    cca,
    debiased_linear_cka,
    linear_cka,
    linear_regression_r2,
    procrustes_distance,
    procrustes_similarity,
    pwcca,
    rbf_cka,
    rv_coefficient,
    svcca,
)

Measure = Callable[[Tensor, Tensor], Tensor]
MEASURES: list[Measure] = [
    cca,
    debiased_linear_cka,
    linear_cka,
    linear_regression_r2,
    procrustes_distance,
    procrustes_similarity,
    pwcca,
    rbf_cka,
    rv_coefficient,
    svcca,
]
every_measure = pytest.mark.parametrize("measure", MEASURES)
LINEAR_MAPS_OF_STUDENT = {cca, pwcca, linear_regression_r2}
ASYMMETRIC = {pwcca, linear_regression_r2}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def layers() -> tuple[Tensor, Tensor]:
    inputs = normal(2, 60, 4)
    teacher = (inputs @ normal(4, 3, seed=1)).relu() * torch.tensor([1.0, 2.0, 0.5])
    student = (inputs @ normal(4, 5, seed=2)).relu() * torch.tensor([3.0, 1.0, 0.2, 1.0, 2.0])
    return teacher, student


def same(measure: Measure, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return torch.allclose(measure(*one), measure(*other), rtol=1e-8, atol=1e-8)


@every_measure
@settings(max_examples=10, deadline=None)
@given(m=st.integers(1, 5), n=st.integers(1, 6), more=st.integers(2, 20), seed=st.integers(0, 10**6))
def test_any_shape_against_its_reference(measure: Measure, m: int, n: int, more: int, seed: int) -> None:
    samples = m + n + more
    shared = normal(samples, 1, seed=seed)
    teacher, student = normal(samples, m, seed=seed + 1) + shared, normal(samples, n, seed=seed + 2) - shared
    arrays = (teacher.numpy(), student.numpy())
    if measure is rbf_cka:
        expected = references.minibatch_rbf_cka([arrays])
    elif measure is linear_regression_r2:
        expected = references.teacher_from_student(*arrays)
    else:
        expected = getattr(references, measure.__name__)(*arrays)
    assert measure(teacher, student).item() == pytest.approx(expected, rel=1e-7, abs=1e-7)


@every_measure
def test_a_layer_with_itself(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    for layer in layers:
        assert (measure(layer, layer) == (0 if measure is procrustes_distance else 1)).all()


@every_measure
def test_rotation_shift_scale_and_permutation_of_the_student_go_unnoticed(
    measure: Measure, layers: tuple[Tensor, Tensor]
) -> None:
    teacher, student = layers
    rotation = torch.linalg.qr(normal(5, 5, seed=3)).Q
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for changed in (
        (teacher, student @ rotation),
        (teacher, student.flip(-1)),
        (teacher, -0.01 * student),
        (teacher, student + normal(5)),
        (teacher[:, order], student[:, order]),
        (3 * teacher.flip(-1), student),
    ):
        assert same(measure, layers, changed)


@every_measure
def test_a_rotated_scaled_student_is_the_teacher(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    teacher = layers[0]
    value = measure(teacher, 7 * teacher @ torch.linalg.qr(normal(3, 3)).Q + 1)
    expected = torch.full_like(value, 0 if measure is procrustes_distance else 1)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-6 if measure is procrustes_distance else 1e-10)


@every_measure
def test_an_invertible_linear_map_of_the_student(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    teacher, student = layers
    changed = (teacher, student @ (normal(5, 5, seed=4) + torch.eye(5)))
    assert same(measure, layers, changed) == (measure in LINEAR_MAPS_OF_STUDENT)
    assert same(measure, layers, (teacher @ (normal(3, 3, seed=4) + torch.eye(3)), student)) == (measure is cca)


@every_measure
def test_shuffled_samples_are_noticed(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    teacher, student = layers
    assert not same(measure, layers, (teacher, student.flip(1)))


@every_measure
def test_symmetry(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    assert same(measure, layers, layers[::-1]) == (measure not in ASYMMETRIC)


def test_the_triangle_inequality_holds_for_the_distance() -> None:
    a, b, c = (normal(20, 40, 3, seed=seed) + normal(20, 40, 3, seed=9) for seed in range(3))
    assert (procrustes_distance(a, c) <= procrustes_distance(a, b) + procrustes_distance(b, c)).all()


@every_measure
def test_a_mean_a_million_times_the_spread(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    teacher, student = (layer + normal(layer.shape[-1]).unsqueeze(-2) * 1e6 for layer in layers)
    torch.testing.assert_close(measure(teacher, student), measure(*layers), rtol=0, atol=1e-6)


@every_measure
def test_dead_repeated_and_dependent_nodes(measure: Measure, layers: tuple[Tensor, Tensor]) -> None:
    """Dead nodes change nothing; for measures of the spanned space, neither do repeated and dependent ones."""
    teacher, student = layers
    dead = torch.full((2, 60, 2), 0.1)
    with_dead = (torch.cat([teacher, dead], dim=-1), torch.cat([dead, student], dim=-1))
    assert same(measure, layers, with_dead)
    dependent = torch.cat([student, student[..., :1], student @ normal(5, 2)], dim=-1)
    value = measure(teacher, dependent)
    assert value.isfinite().all()
    if measure in LINEAR_MAPS_OF_STUDENT:
        torch.testing.assert_close(value, measure(teacher, student), rtol=0, atol=1e-9)


@every_measure
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_layer_is_like_nothing(measure: Measure, value: float, layers: tuple[Tensor, Tensor]) -> None:
    constant = torch.full((2, 60, 4), value, dtype=torch.float64)
    expected = 2**0.5 if measure is procrustes_distance else 0
    for teacher, student in ((layers[0], constant), (constant, layers[1]), (constant, constant)):
        torch.testing.assert_close(measure(teacher, student), torch.full((2,), expected, dtype=torch.float64))


@every_measure
def test_more_nodes_than_samples(measure: Measure) -> None:
    teacher, student = normal(6, 10), normal(6, 12, seed=1)
    value = measure(teacher, student).item()
    assert -1 <= value <= 1.5
    if measure in LINEAR_MAPS_OF_STUDENT:
        assert value == pytest.approx(1, abs=1e-9)


@every_measure
def test_two_leading_axes_and_none(measure: Measure) -> None:
    teacher, student = normal(2, 3, 20, 4), normal(2, 3, 20, 5, seed=1)
    result = measure(teacher, student)
    assert result.shape == (2, 3)
    torch.testing.assert_close(measure(teacher[1, 2], student[1, 2]), result[1, 2])


def test_biased_cka_of_unrelated_layers_is_high_and_debiased_is_zero() -> None:
    teacher, student = normal(400, 12, 8), normal(400, 12, 8, seed=1)
    assert linear_cka(teacher, student).mean() > 0.4
    debiased = debiased_linear_cka(teacher, student)
    assert debiased.mean().abs() < 4 * debiased.std() / 20


def test_rv_is_cka() -> None:
    teacher, student = normal(30, 4), normal(30, 5, seed=1)
    assert torch.equal(rv_coefficient(teacher, student), linear_cka(teacher, student))


def test_rbf_cka_of_a_great_bandwidth_is_the_debiased_linear_one(layers: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(rbf_cka(*layers, bandwidth=300), debiased_linear_cka(*layers), rtol=0, atol=1e-4)
    assert not torch.allclose(rbf_cka(*layers), debiased_linear_cka(*layers), atol=1e-2)


def test_rbf_cka_where_most_samples_coincide() -> None:
    """The median distance is 0 then."""
    teacher, student = torch.zeros(20, 2), torch.zeros(20, 3)
    teacher[:4] = student[:4, :2] = normal(4, 2).float()
    assert rbf_cka(teacher, student).item() == pytest.approx(1, abs=1e-6)


def test_procrustes_against_scipy() -> None:
    teacher, student = normal(40, 4), normal(40, 4, seed=1)
    _, _, disparity = scipy.spatial.procrustes(teacher.numpy(), student.numpy())
    assert 1 - procrustes_similarity(teacher, student).item() ** 2 == pytest.approx(disparity, abs=1e-12)


def test_canonical_correlations_are_those_that_were_put_in() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(200, 1, dtype=torch.float64), normal(200, 5)], dim=1)).Q[:, 1:]
    teacher = basis[:, :2]
    student = torch.stack([0.8 * basis[:, 0] + 0.6 * basis[:, 2], 0.28 * basis[:, 1] + 0.96 * basis[:, 3]], dim=1)
    mixed = student @ normal(2, 2, seed=5)
    assert cca(teacher, mixed).item() == pytest.approx((0.8 + 0.28) / 2, abs=1e-12)
    assert pwcca(teacher * torch.tensor([3.0, 1.0]), mixed).item() == pytest.approx((3 * 0.8 + 0.28) / 4, abs=1e-12)
    assert linear_regression_r2(teacher, mixed).item() == pytest.approx((0.64 + 0.28**2) / 2, abs=1e-12)


def test_svcca_leaves_out_the_last_percent() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(200, 1, dtype=torch.float64), normal(200, 4)], dim=1)).Q[:, 1:]
    student = torch.stack([basis[:, 0], basis[:, 2]], dim=1)
    kept = basis[:, :2] * torch.tensor([1.0, 0.11])  # 1.2 % of the variance
    dropped = basis[:, :2] * torch.tensor([1.0, 0.09])  # 0.8 %
    assert svcca(kept, student).item() == pytest.approx(0.5)
    assert svcca(dropped, student).item() == pytest.approx(1)
    assert cca(dropped, student).item() == pytest.approx(0.5)


def test_regression_both_ways(layers: tuple[Tensor, Tensor]) -> None:
    teacher, student = layers
    backward = linear_regression_r2(teacher, student, "student_from_teacher")
    torch.testing.assert_close(backward, linear_regression_r2(student, teacher))
    expected = references.student_from_teacher(teacher[0].numpy(), student[0].numpy())
    np.testing.assert_allclose(backward[0], expected, atol=1e-12)
    assert linear_regression_r2(student[..., :2], student).tolist() == pytest.approx([1, 1])


def test_unknown_settings_are_named(layers: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="one of teacher_from_student, student_from_teacher, got 'both'"):
        linear_regression_r2(*layers, "both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected bandwidth to be positive, got 0"):
        rbf_cka(*layers, bandwidth=0)


@every_measure
def test_a_single_sample_is_named(measure: Measure) -> None:
    with pytest.raises(ValueError, match=r"needs at least [24] samples, got 1"):
        measure(normal(1, 2), normal(1, 3))
