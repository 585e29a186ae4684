"""What every Metric of tsl.metrics must do, whatever it measures: the cases, their data, and two real processes.

`test_metrics.py` runs the cases. A new Metric is one more line in `CASES`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor

import tsl.metrics
from tsl.metrics.replicated_metric import ReplicatedMetric

TEACHER_NODES, STUDENT_NODES, REPLICATES = 3, 5, 2
BATCH_SIZES = (25, 30, 6)

Batch = tuple[Tensor, Tensor]


@dataclass
class Case:
    """A Metric, and the reference it must agree with.

    Attributes:
        metric: The class.
        reference: The name of a function of references.py, of one replicate, all samples at once, or for `minibatch`
            of the list of batches.
        settings: Further arguments of the constructor.
        minibatch: Whether the value depends on how the samples are split.
    """

    metric: type[ReplicatedMetric]
    reference: str
    settings: dict[str, Any] = field(default_factory=dict)
    minibatch: bool = False

    def make(self, replicates: int | None = REPLICATES, **settings: Any) -> ReplicatedMetric:
        return self.metric(TEACHER_NODES, STUDENT_NODES, replicates, **self.settings, **settings)

    def expected(self, batches: Sequence[Batch]) -> Tensor:
        """The reference of all replicates, from batches `[..., samples, nodes]`."""
        import references  # with scipy and sklearn, which the spawned processes need not load

        measure: Callable[..., Any] = getattr(references, self.reference)
        leading = batches[0][0].shape[:-2]
        values = []
        for replicate in range(leading.numel()):
            arrays = [tuple(one_replicate(part, replicate) for part in batch) for batch in batches]
            if self.minibatch:
                values.append(measure(arrays))
            else:
                values.append(measure(*(np.concatenate(part) for part in zip(*arrays, strict=True))))
        return torch.as_tensor(np.array(values)).reshape((*leading, *np.shape(values[0])))

    def __str__(self) -> str:
        return "-".join([self.metric.__name__, *map(str, self.settings.values())])


def one_replicate(activations: Tensor, replicate: int) -> np.ndarray:
    return activations.reshape(-1, *activations.shape[-2:])[replicate].double().numpy()


CASES = [
    Case(tsl.metrics.NodeCorrelation, "node_correlation"),
    Case(tsl.metrics.CosineCorrelation, "cosine_correlation"),
    Case(tsl.metrics.RankCorrelation, "rank_correlation"),
    Case(tsl.metrics.BoundaryObservation, "boundary_observation"),
    Case(tsl.metrics.DeadNodeFraction, "dead_node_fraction"),
    Case(tsl.metrics.LinearCKA, "linear_cka"),
    Case(tsl.metrics.DebiasedLinearCKA, "debiased_linear_cka"),
    Case(tsl.metrics.RBFCKA, "minibatch_rbf_cka", minibatch=True),
    Case(tsl.metrics.RVCoefficient, "rv_coefficient"),
    Case(tsl.metrics.CCA, "cca"),
    Case(tsl.metrics.SVCCA, "svcca"),
    Case(tsl.metrics.PWCCA, "pwcca"),
    Case(tsl.metrics.ProcrustesSimilarity, "procrustes_similarity"),
    Case(tsl.metrics.ProcrustesDistance, "procrustes_distance"),
    Case(tsl.metrics.LinearRegressionR2, "teacher_from_student"),
    Case(tsl.metrics.LinearRegressionR2, "student_from_teacher", {"direction": "student_from_teacher"}),
]


def make_batches(
    replicates: int | None = REPLICATES, dtype: torch.dtype = torch.float64, sizes: Sequence[int] = BATCH_SIZES
) -> list[Batch]:
    """ReLU layers that share inputs, far from mean 0, one student node dead."""
    generator = torch.Generator().manual_seed(7)
    leading = () if replicates is None else (replicates,)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*leading, *shape, generator=generator, dtype=torch.float64)

    inputs = normal(sum(sizes), 4)
    teacher = (inputs @ normal(4, TEACHER_NODES) + 0.5).relu()
    student = (inputs @ normal(4, STUDENT_NODES) + 0.5).relu()
    student[..., 1] = 0
    return list(zip(teacher.to(dtype).split(sizes, -2), student.to(dtype).split(sizes, -2), strict=True))


def update_all(metric: ReplicatedMetric, batches: Sequence[Batch]) -> ReplicatedMetric:
    for batch in batches:
        metric.update(*batch)
    return metric


def in_one_process(rank: int, folder: Path, plans: Sequence[Sequence[Sequence[int]]]) -> None:
    """Run every case on this process's share of the batches, for each plan, and save what `compute` gave.

    A plan names the indices of the batches of each process.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "The ``compute`` method of metric")  # of the process without batches
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    batches = make_batches(dtype=torch.float32)
    results = []
    for plan in plans:
        mine = [batches[index] for index in plan[rank]]
        for case in CASES:
            metric = update_all(case.make(), mine)
            together = metric.compute()
            again = metric.compute()
            metric.sync_on_compute = metric._to_sync = False
            metric._computed = None
            alone = metric.compute() if mine else None
            results.append((together, again, alone))
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
