import pytest
import torch

from tsl.metrics.functional import node_correlation, rho_mean


def test_the_mean_of_the_best_over_teacher_nodes() -> None:
    correlation = torch.tensor([[[0.9, 0.2, -1.0], [0.3, 0.4, 0.5]], [[0.0, 0.0, 0.0], [-0.5, -0.2, -0.4]]])
    torch.testing.assert_close(rho_mean(correlation), torch.tensor([0.7, -0.1]))


def test_inactive_teacher_nodes_do_not_count() -> None:
    correlation = torch.tensor([[[0.9, 0.2], [0.3, 0.5]], [[0.1, 0.0], [0.6, 0.2]]])
    torch.testing.assert_close(rho_mean(correlation, torch.tensor([True, False])), torch.tensor([0.9, 0.1]))
    active = torch.tensor([[True, False], [True, True]])
    torch.testing.assert_close(rho_mean(correlation, active), torch.tensor([0.9, 0.35]))


def test_a_permuted_rescaled_teacher_scores_one() -> None:
    teacher = torch.randn(100, 5, generator=torch.Generator().manual_seed(0)).relu()
    assert rho_mean(node_correlation(teacher, 3 * teacher.flip(-1))).item() == 1


def test_a_layer_without_active_nodes_is_named() -> None:
    with pytest.raises(ValueError, match="rho_mean needs at least one active teacher node in every layer"):
        rho_mean(torch.zeros(2, 2, 3), torch.tensor([[True, False], [False, False]]))
