from itertools import permutations

import pytest
import torch

from tsl.metrics.functional import one_to_one, one_to_one_mean, rho_mean


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 5), (1, 1)])
def test_the_best_of_all_matchings(m: int, n: int) -> None:
    correlation = torch.rand(4, m, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    matching = one_to_one(correlation)
    for r in range(4):
        totals = [correlation[r, torch.arange(m), list(chosen)].sum() for chosen in permutations(range(n), m)]
        assert matching.correlation[r].sum().item() == pytest.approx(max(totals).item())
        assert len(set(matching.student[r].tolist())) == m
        assert torch.equal(correlation[r, torch.arange(m), matching.student[r]], matching.correlation[r])
    torch.testing.assert_close(one_to_one_mean(correlation), matching.correlation.mean(dim=-1))
    assert (one_to_one_mean(correlation) <= rho_mean(correlation)).all()


def test_a_shared_student_counts_once() -> None:
    correlation = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert rho_mean(correlation).item() == 1
    assert one_to_one_mean(correlation).item() == 0.5


def test_fewer_students_than_teachers_leave_some_without() -> None:
    matching = one_to_one(torch.tensor([[0.1], [0.9], [0.5]]))
    assert matching.student.tolist() == [-1, 0, -1]
    assert matching.correlation.tolist() == pytest.approx([0.0, 0.9, 0.0])


def test_nan_stays_with_its_replicate() -> None:
    correlation = torch.tensor([[[0.9, 0.2], [torch.nan, 0.8]], [[0.9, 0.2], [0.3, 0.8]]])
    matching = one_to_one(correlation)
    assert matching.student.tolist() == [[-1, -1], [0, 1]]
    assert matching.correlation[0].isnan().all()
    assert one_to_one_mean(correlation).tolist() == pytest.approx([float("nan"), 0.85], nan_ok=True)
