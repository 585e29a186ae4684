import numpy as np
import pytest
import references
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsl.metrics import BoundaryObservation
from tsl.metrics.functional import boundary_observation, observed


@settings(max_examples=25, deadline=None)
@given(
    replicates=st.sampled_from([None, 1, 3]),
    samples=st.integers(0, 30),
    m=st.integers(1, 4),
    n=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_any_shape_against_a_loop(replicates: int | None, samples: int, m: int, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    leading = [] if replicates is None else [replicates]
    teacher = torch.randint(-1, 2, (*leading, samples, m), generator=generator).float()
    student = torch.randint(-1, 2, (*leading, samples, n), generator=generator).float()
    result = boundary_observation(teacher, student)
    assert result.shape == (*leading, m, n)
    assert result.dtype == torch.int64
    for replicate in range(replicates or 1):
        one = (replicate,) if replicates else ()
        expected = references.boundary_observation(teacher[one].numpy(), student[one].numpy())
        np.testing.assert_array_equal(result[one], expected)


def test_counts_are_exact_and_bounded_by_half_the_samples() -> None:
    samples = 300_001
    teacher = torch.arange(samples).remainder(2).float().unsqueeze(-1)
    student = torch.ones(samples, 1)
    assert boundary_observation(teacher, student).item() == samples // 2
    metric = BoundaryObservation(1, 1)
    for _ in range(3):
        metric.update(teacher, student)
    assert metric.compute().item() == 3 * (samples // 2)


def test_a_student_active_on_one_side_sees_no_boundary() -> None:
    teacher = torch.tensor([[1.0], [2.0], [0.0], [-1.0]])
    one_side = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert boundary_observation(teacher, one_side).item() == 0
    assert boundary_observation(teacher, torch.zeros(4, 1)).item() == 0
    assert boundary_observation(teacher, torch.ones(4, 1)).item() == 2


def test_depends_on_signs_alone() -> None:
    teacher, student = torch.randn(50, 3), torch.randn(50, 4)
    result = boundary_observation(teacher, student)
    assert torch.equal(boundary_observation(teacher.sign() * 7, student.relu() ** 3), result)
    assert not torch.equal(boundary_observation(teacher + 0.5, student), result)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_smallest_positive_number_is_active(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    teacher = torch.tensor([[tiny], [0.0]], dtype=dtype)
    assert boundary_observation(teacher, torch.full((2, 1), tiny, dtype=dtype)).item() == 1


def test_observed_is_any_student_for_each_teacher() -> None:
    observation = torch.tensor([[[0, 0], [0, 2]], [[1, 0], [0, 0]]])
    assert observed(observation).tolist() == [[False, True], [True, False]]
