import pytest
import torch

from tsl.metrics import DeadNodeFraction
from tsl.metrics.functional import dead_node_fraction


def test_a_node_is_dead_when_nothing_changes_it() -> None:
    layer = torch.tensor([[[0.0, 1.0, 3.0, 0.0], [0.0, 0.0, 3.0, 1e-30]], [[1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 0.0, 0.0]]])
    assert dead_node_fraction(layer).tolist() == [0.5, 0.25]


def test_a_node_that_lives_in_one_batch_lives() -> None:
    metric = DeadNodeFraction(1, 2)
    metric.update(torch.zeros(2, 1), torch.zeros(2, 2))
    assert metric.compute().item() == 1
    metric.update(torch.zeros(1, 1), torch.tensor([[0.0, 1.0]]))
    assert metric.compute().item() == 0.5


def test_no_samples_are_named() -> None:
    with pytest.raises(ValueError, match="dead-node fraction needs at least 1 samples, got 0"):
        dead_node_fraction(torch.zeros(0, 3))
