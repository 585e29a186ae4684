import pytest
import torch

from tsl.metrics.functional import THRESHOLDS, competition, match_count, recovered, redundancy

CORRELATION = torch.tensor([[[0.95, 0.96, 0.1], [0.5, 0.97, -1.0]], [[0.2, 0.1, 0.3], [0.4, 0.99, 0.99]]])


def test_recovered_is_strictly_above_the_threshold() -> None:
    assert recovered(CORRELATION, 0.95).tolist() == [[True, True], [False, True]]
    assert recovered(torch.tensor([[0.5, 0.25]]), 0.5).tolist() == [False]


def test_match_count_counts_students_of_each_teacher() -> None:
    assert match_count(CORRELATION, 0.9).tolist() == [[2, 1], [0, 2]]
    assert match_count(torch.tensor([[0.5, 0.25]]), 0.5).tolist() == [0]


def test_recovered_is_a_match_count_above_zero_at_every_threshold() -> None:
    correlation = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))
    for threshold in THRESHOLDS:
        assert torch.equal(recovered(correlation, threshold), match_count(correlation, threshold) > 0)
    assert THRESHOLDS == (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def test_redundancy_counts_every_student_once() -> None:
    assert redundancy(CORRELATION, 0.9).tolist() == [[1, 1], [0, 2]]
    assert match_count(CORRELATION, 0.9)[0].sum() == 3
    correlation = torch.rand(7, 4, 9, generator=torch.Generator().manual_seed(1))
    for r in range(7):
        counts = [0] * 4
        for k in range(9):
            column = correlation[r, :, k].tolist()
            if max(column) > 0.7:
                counts[column.index(max(column))] += 1
        assert redundancy(correlation, 0.7)[r].tolist() == counts


def test_competition_is_teacher_one_over_teacher_two() -> None:
    correlation = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.91, 0.95], [1.0, 1.0, 1.0, 1.0]])
    assert competition(correlation).item() == 1.5
    assert competition(correlation, threshold=0.92).item() == 3.0


def test_competition_without_students_on_teacher_two() -> None:
    one, none = torch.tensor([[1.0], [0.0]]), torch.zeros(2, 1)
    result = competition(torch.stack([one, none]))
    assert result[0].item() == float("inf")
    assert result[1].isnan()


def test_competition_of_one_teacher_node_is_named() -> None:
    with pytest.raises(ValueError, match="competition needs at least 2 teacher nodes, got 1"):
        competition(torch.zeros(1, 3))


@pytest.mark.parametrize("function", [recovered, match_count, redundancy, competition])
@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, 95, float("nan")])
def test_a_threshold_outside_is_named(function: object, threshold: float) -> None:
    with pytest.raises(ValueError, match=rf"expected a threshold strictly between 0 and 1, got {threshold}"):
        function(CORRELATION, threshold)  # type: ignore[operator]
