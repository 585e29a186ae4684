import numpy as np
import pytest
import references
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tsl.metrics import NodeCorrelation
from tsl.metrics.functional import node_correlation, positions_as_samples


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(
    replicates=st.sampled_from([None, 1, 3]),
    samples=st.integers(2, 40),
    m=st.integers(1, 4),
    n=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)
def test_any_shape_against_numpy(replicates: int | None, samples: int, m: int, n: int, seed: int) -> None:
    leading = [] if replicates is None else [replicates]
    teacher = normal(*leading, samples, m, seed=seed).relu().float()
    student = normal(*leading, samples, n, seed=seed + 1).relu().float()
    result = node_correlation(teacher, student)
    assert result.shape == (*leading, m, n)
    for replicate in range(replicates or 1):
        one = (replicate,) if replicates else ()
        expected = references.node_correlation(teacher[one].double().numpy(), student[one].double().numpy())
        np.testing.assert_allclose(result[one], expected, rtol=1e-10, atol=1e-11)


def test_two_leading_axes() -> None:
    teacher, student = normal(2, 3, 10, 4), normal(2, 3, 10, 5, seed=1)
    result = node_correlation(teacher, student)
    assert result.shape == (2, 3, 4, 5)
    torch.testing.assert_close(result[1, 2], node_correlation(teacher[1, 2], student[1, 2]))


@pytest.mark.parametrize("samples", [2, 3, 1000, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_layer_with_itself_is_exactly_one(samples: int, dtype: torch.dtype) -> None:
    layer = (normal(samples, 50) * 3 + 7).to(dtype)
    assert (node_correlation(layer, layer).diagonal() == 1).all()
    metric = NodeCorrelation(50, 50)
    for part in layer.split(37):
        metric.update(part, part)
    assert (metric.compute().diagonal() == 1).all()


def test_a_permuted_rescaled_shifted_student_is_recovered_exactly() -> None:
    teacher = normal(500, 6).relu()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    student = teacher[:, order] * torch.tensor([0.1, 3.0, 1e3, 1e-3, 2.0, 1.0]) + 5
    result = node_correlation(teacher, student)
    assert (result[order, torch.arange(6)] == 1).all()
    assert (node_correlation(teacher, -student)[order, torch.arange(6)] == -1).all()


def test_permuting_nodes_permutes_the_correlation() -> None:
    teacher, student = normal(200, 4), normal(200, 6, seed=1)
    rows, columns = torch.randperm(4), torch.randperm(6)
    permuted = node_correlation(teacher[:, rows], student[:, columns])
    torch.testing.assert_close(permuted, node_correlation(teacher, student)[rows][:, columns], rtol=0, atol=1e-15)


def test_not_indifferent_to_mixing_nodes() -> None:
    teacher = normal(200, 4)
    rotation = torch.linalg.qr(normal(4, 4, seed=3)).Q
    assert node_correlation(teacher, teacher @ rotation).amax(dim=-1).max() < 0.99


def test_orthogonal_nodes_are_zero() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(50, 1, dtype=torch.float64), normal(50, 6)], dim=1)).Q[:, 1:]
    assert node_correlation(basis[:, :3], basis[:, 3:]).abs().max() < 1e-14


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mean_a_million_times_the_spread(dtype: torch.dtype) -> None:
    teacher = (normal(4000, 3) + 1e6).to(dtype)
    student = (normal(4000, 3) @ normal(3, 4, seed=1) - 1e6 + 0.1 * normal(4000, 4, seed=2)).to(dtype)
    # The oracle gets the means subtracted first, in the activations' own precision, which is exact.
    expected = references.node_correlation(*((x - x[0]).double().numpy() for x in (teacher, student)))
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(node_correlation(teacher, student), expected, atol=1e-9, rtol=0)
    metric = NodeCorrelation(3, 4)
    for part in zip(teacher.split(77), student.split(77), strict=True):
        metric.update(*part)
    np.testing.assert_allclose(metric.compute(), expected, atol=1e-9, rtol=0)


def test_samples_in_sorted_order_do_no_harm() -> None:
    """The first block's mean, which is subtracted, is then far from the mean of all."""
    teacher = normal(50_000, 2).sort(dim=0).values ** 3 + 1e6
    student = teacher + normal(50_000, 2, seed=1)
    expected = references.node_correlation((teacher - 1e6).numpy(), (student - 1e6).numpy())
    np.testing.assert_allclose(node_correlation(teacher, student), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 12345.678])
def test_constant_nodes_are_zero(value: float, dtype: torch.dtype) -> None:
    signal = normal(1000, 1).to(dtype)
    constant = torch.full_like(signal, value)
    assert node_correlation(signal, constant).item() == 0
    assert node_correlation(constant, signal).item() == 0
    assert node_correlation(constant, constant).item() == 0
    metric = NodeCorrelation(1, 1)
    for part in zip(signal.split(7), constant.split(7), strict=True):
        metric.update(*part)
    assert metric.compute().item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_noise_of_a_constant_node_is_no_signal(dtype: torch.dtype) -> None:
    """A node of constant value 1 that carries its neighbour's signal in its last digit alone."""
    signal = normal(1000, 1).to(dtype)
    eps = torch.finfo(dtype).eps
    last_digit = 1 + eps * (signal > 0).to(dtype)
    assert last_digit.unique().numel() == 2
    assert node_correlation(signal, last_digit).item() == 0
    assert node_correlation(last_digit, last_digit).item() == 0
    assert node_correlation(signal, 1 + 1000 * eps * signal).item() > 0.99


def test_one_constant_node_does_not_disturb_the_others() -> None:
    teacher, student = normal(100, 3), normal(100, 3, seed=1)
    expected = node_correlation(teacher, student)
    student[:, 1] = 3.3
    expected[:, 1] = 0
    assert torch.equal(node_correlation(teacher, student), expected)


def test_float32_inputs_reach_float64_accuracy() -> None:
    teacher, student = normal(20_000, 3).float(), normal(20_000, 4, seed=1).float()
    expected = node_correlation(teacher.double(), student.double())
    torch.testing.assert_close(node_correlation(teacher, student), expected, rtol=0, atol=1e-15)


def test_gradient_reaches_the_student() -> None:
    student = normal(20, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: node_correlation(normal(20, 2), s), student)


def test_positions_count_as_samples() -> None:
    teacher, student = normal(2, 4, 3, 5, 6), normal(2, 4, 7, 5, 6, seed=1)
    result = node_correlation(positions_as_samples(teacher), positions_as_samples(student))
    expected = np.corrcoef(teacher[1, :, 2].flatten(), student[1, :, 6].flatten())[0, 1]
    assert result.shape == (2, 3, 7)
    assert result[1, 2, 6].item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(
        node_correlation(positions_as_samples(teacher[0]), positions_as_samples(student[0])), result[0]
    )


def test_positions_as_samples_names_the_axes_it_expects() -> None:
    with pytest.raises(ValueError, match=r"\[B, C, H, W\] or \[R, B, C, H, W\], got 3 axes: \[2, 3, 4\]"):
        positions_as_samples(torch.zeros(2, 3, 4))


def test_a_single_sample_is_named() -> None:
    with pytest.raises(ValueError, match="node correlation needs at least 2 samples, got 1"):
        node_correlation(torch.zeros(1, 3), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="node correlation needs at least 2 samples, got 0"):
        node_correlation(torch.zeros(2, 0, 3), torch.zeros(2, 0, 4))


def test_float32_products_cost_less_than_a_millionth() -> None:
    """Streamed in batches, beside numpy in float64 of the same float32 activations; with a dead node, and a mean of a
    thousand spreads."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(20_000, 20, generator=generator).relu()
    student = (
        teacher @ torch.randn(20, 50, generator=generator) / 4 + torch.randn(20_000, 50, generator=generator)
    ).relu()
    student[:, 0] = 0
    student[:, 1] = teacher[:, 1] + 1000
    student[:, 2] = 3 * teacher[:, 2]
    metric = NodeCorrelation(20, 50, products=torch.float32)
    for t, s in zip(teacher.split(300), student.split(300), strict=True):
        metric.update(t, s)
    expected = np.corrcoef(teacher.double().T, student[:, 1:].double().T)[:20, 20:]
    np.testing.assert_allclose(metric.compute()[:, 1:], expected, rtol=0, atol=1e-6)
    assert (metric.compute()[:, 0] == 0).all()
