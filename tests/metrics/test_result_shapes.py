"""Results have the shape that is documented, for one replicate of one node too."""

import pickle

import pytest
import torch

from tsl.metrics import BoundaryObservation, LinearCKA, NodeCorrelation
from tsl.metrics.replicated_metric import ReplicatedMetric
from tsl.metrics.replicates import ReplicateMaximum, ReplicateMean


@pytest.mark.parametrize(
    ("kind", "replicates", "shape"),
    [
        (NodeCorrelation, 1, (1, 1, 1)),
        (NodeCorrelation, None, (1, 1)),
        (BoundaryObservation, 1, (1, 1, 1)),
        (LinearCKA, 1, (1,)),
        (LinearCKA, None, ()),
    ],
)
def test_one_number_keeps_its_axes(
    kind: type[ReplicatedMetric], replicates: int | None, shape: tuple[int, ...]
) -> None:
    leading = () if replicates is None else (replicates,)
    metric = kind(1, 1, replicates)
    nodes = torch.randn(*leading, 5, 1)
    metric.update(nodes, nodes)
    assert metric.compute().shape == shape
    assert metric.compute().shape == shape  # torchmetrics' cached value
    assert pickle.loads(pickle.dumps(metric)).compute().shape == shape


def test_one_replicate_keeps_its_axis() -> None:
    for metric in (ReplicateMean(1), ReplicateMaximum(1)):
        metric.update(torch.tensor([3.0]))
        assert metric.compute().tolist() == [3.0]
