import torch

from tsl.metrics.functional import best_correlation


def test_best_partners_both_ways_by_a_loop() -> None:
    correlation = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    best = best_correlation(correlation)
    for r in range(2):
        for j in range(3):
            row = [correlation[r, j, k].item() for k in range(5)]
            assert best.teacher_correlation[r, j].item() == max(row)
            assert best.best_student[r, j].item() == row.index(max(row))
        for k in range(5):
            column = [correlation[r, j, k].item() for j in range(3)]
            assert best.student_correlation[r, k].item() == max(column)
            assert best.best_teacher[r, k].item() == column.index(max(column))


def test_a_negative_correlation_is_not_a_good_one() -> None:
    best = best_correlation(torch.tensor([[-1.0, 0.1]]))
    assert best.best_student.item() == 1


def test_without_leading_axis() -> None:
    best = best_correlation(torch.eye(2, 3))
    assert [part.shape for part in best] == [(2,), (2,), (3,), (3,)]
