"""The best matching in which no student node is matched with two teacher nodes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class OneToOne(NamedTuple):
    """A one-to-one matching; nodes are counted from 0 here.

    Attributes:
        correlation: ρ_jk of each teacher node with its student node, 0 if it has none, `[..., m]`.
        student: That student node k, −1 if there is none, `[..., m]` int64.
    """

    correlation: Tensor
    student: Tensor


def one_to_one(correlation: Tensor) -> OneToOne:
    """The matching of teacher with student nodes of the greatest total correlation, each node in at most one pair.

    argmax over injective k(·) of Σ_j ρ_{j k(j)} (the Hungarian method, `scipy.optimize.linear_sum_assignment`). If
    there are fewer student than teacher nodes, some teacher nodes have no partner.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.

    Returns:
        The matching; its correlations lie in [−1, 1], higher is closer, and none is above the best correlation of its
        teacher node. If a correlation of a replicate is NaN, all correlations of its matching are NaN, and its teacher
        nodes have no student node. Cost: cubic in the nodes, on the CPU.

    Source: Kuhn 1955, "The Hungarian method for the assignment problem"; for representations Li et al. 2016,
    "Convergent learning".

    Example:
        >>> one_to_one(torch.tensor([[0.9, 0.8], [0.9, 0.1]]))
        OneToOne(correlation=tensor([0.8000, 0.9000]), student=tensor([1, 0]))
    """
    from scipy.optimize import linear_sum_assignment

    *leading, m, n = correlation.shape
    student = torch.full((torch.Size(leading).numel(), m), -1)
    for matched, matrix in zip(student, correlation.detach().cpu().reshape(-1, m, n).numpy(), strict=True):
        if np.isnan(matrix).any():
            continue
        teacher_nodes, student_nodes = linear_sum_assignment(matrix, maximize=True)
        matched[torch.as_tensor(teacher_nodes)] = torch.as_tensor(student_nodes)
    student = student.reshape(*leading, m).to(correlation.device)
    values = correlation.gather(-1, student.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    undefined = 0 * correlation.sum(dim=(-2, -1)).unsqueeze(-1)
    return OneToOne(values.where(student >= 0, 0) + undefined, student)


def one_to_one_mean(correlation: Tensor) -> Tensor:
    """The mean correlation of the best one-to-one matching, over teacher nodes.

    (1/m) Σ_j ρ_{j k(j)}; unlike `rho_mean`, it counts each student node at most once.

    Args:
        correlation: `[..., m, n]`, as returned by `node_correlation`.

    Returns:
        `[...]`, in [−1, 1], at most `rho_mean`; higher is closer. Cost: that of `one_to_one`.

    Source: as for `one_to_one`.

    Example:
        >>> round(one_to_one_mean(torch.tensor([[0.9, 0.8], [0.9, 0.1]])).item(), 4)
        0.85
    """
    return one_to_one(correlation).correlation.mean(dim=-1)
