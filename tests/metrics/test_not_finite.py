"""What every measure does with activations and weights that are NaN or infinite: refuse them, or give NaN."""

import inspect
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tester import CASES, REPLICATES, STUDENT_NODES, TEACHER_NODES, Case, make_batches, update_all

from tsl.metrics import functional
from tsl.metrics.functional import weight_alignment

PAIRWISE = ("NodeCorrelation", "CosineCorrelation", "RankCorrelation")
OF_ACTIVATIONS = [
    measure
    for name in functional.__all__
    if inspect.isfunction(measure := getattr(functional, name))
    and list(inspect.signature(measure).parameters)[:2] == ["teacher", "student"]
]

BAD = st.sampled_from([float("nan"), float("inf"), -float("inf")])
SAMPLES = sum(size for size in (25, 30, 6))
PLACES = st.lists(
    st.tuples(
        st.booleans(), st.integers(0, SAMPLES - 1), st.integers(0, TEACHER_NODES - 1), BAD
    ),  # teacher's, sample, node
    min_size=1,
    max_size=4,
)


def spoiled(replicate: int, places: list[tuple[bool, int, int, float]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of the tester, in which one replicate has values that are not finite."""
    [(teacher, student)] = make_batches(sizes=[SAMPLES])
    for of_teacher, sample, node, value in places:
        (teacher if of_teacher else student)[replicate, sample, node] = value
    return list(zip(teacher.split([25, 30, 6], -2), student.split([25, 30, 6], -2), strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if case.metric.__name__ != "BoundaryObservation"], ids=str)
@given(replicate=st.integers(0, REPLICATES - 1), places=PLACES)
@settings(max_examples=25, deadline=None)
def test_a_metric_is_nan_for_that_replicate_alone(
    case: Case, replicate: int, places: list[tuple[bool, int, int, float]]
) -> None:
    of_student = [place for place in places if not place[0]]
    value = update_all(case.make(), spoiled(replicate, places)).compute()
    clean = update_all(case.make(), spoiled(replicate, [])).compute()
    undefined = torch.zeros_like(value, dtype=torch.bool)
    if case.metric.__name__ in PAIRWISE:
        for of_teacher, _, node, _ in places:
            undefined[(replicate, node) if of_teacher else (replicate, slice(None), node)] = True
    else:  # the fraction of dead nodes is the student's
        undefined[replicate] = bool(of_student) or case.metric.__name__ != "DeadNodeFraction"
    assert torch.equal(value.isnan(), undefined)
    torch.testing.assert_close(value[~undefined], clean[~undefined], rtol=0, atol=1e-12)


@given(replicate=st.integers(0, REPLICATES - 1), places=PLACES)
@settings(max_examples=25, deadline=None)
def test_a_node_is_inactive_where_it_is_nan(replicate: int, places: list[tuple[bool, int, int, float]]) -> None:
    [case] = [case for case in CASES if case.metric.__name__ == "BoundaryObservation"]
    places = [(of_teacher, sample, node, float("nan")) for of_teacher, sample, node, _ in places]
    value = update_all(case.make(), spoiled(replicate, places)).compute()
    batches = spoiled(replicate, [])
    for of_teacher, sample, node, _ in places:
        batch, row = (0, sample) if sample < 25 else (1, sample - 25) if sample < 55 else (2, sample - 55)
        batches[batch][0 if of_teacher else 1][replicate, row, node] = -1
    assert torch.equal(value, update_all(case.make(), batches).compute())


@pytest.mark.parametrize("measure", OF_ACTIVATIONS, ids=lambda measure: measure.__name__)
@given(replicate=st.integers(0, REPLICATES - 1), places=PLACES)
@settings(max_examples=10, deadline=None)
def test_a_function_of_activations_names_the_side_and_the_count(
    measure: Callable[..., Any], replicate: int, places: list[tuple[bool, int, int, float]]
) -> None:
    teacher, student = (torch.cat(part, dim=-2) for part in zip(*spoiled(replicate, places), strict=True))
    side, layer = ("teacher", teacher) if any(place[0] for place in places) else ("student", student)
    count = int((~layer.isfinite()).sum())
    message = rf"expected finite {side} activations, got {count} NaN or infinite values among {layer.numel()}$"
    with pytest.raises(ValueError, match=message):
        measure(teacher, student)


def test_every_measure_of_activations_is_asked() -> None:
    assert len(OF_ACTIVATIONS) == 14
    with pytest.raises(ValueError, match="expected finite layer activations, got 1 NaN"):
        functional.dead_node_fraction(torch.tensor([[0.0], [float("inf")]]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_too_large_to_square_are_not_taken_for_constant(case: Case) -> None:
    batches = [(teacher * 1e200, student) for teacher, student in make_batches()]
    value = update_all(case.make(), batches).compute()
    scale_free = case.metric.__name__ in ("BoundaryObservation", "DeadNodeFraction")
    assert not value.isnan().any() if scale_free else value.isnan().any()


def test_values_of_which_only_the_sum_is_infinite_are_finite() -> None:
    large = torch.full((4, 1), 1e308, dtype=torch.float64)
    assert functional.boundary_observation(large, large).tolist() == [[0]]


def test_weights_that_are_not_finite_align_with_nothing() -> None:
    weight, bias = torch.eye(2).repeat(2, 1), torch.zeros(4)
    weight[1, 0], bias[2] = torch.nan, torch.inf
    for values in weight_alignment(torch.eye(2), torch.zeros(2), weight[:STUDENT_NODES], bias):
        assert values.isnan().tolist() == [[False, True, True, False]] * 2
