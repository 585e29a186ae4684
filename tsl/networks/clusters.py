"""Finds the teacher's nodes among the nodes of many students: they are those that most students share.

The idea is that of Expand-and-Cluster (Martinelli, Şimşek, Gerstner & Brea 2024, arXiv 2304.12794): an over-realized
student that has learned its teacher has every teacher node at least once, and further nodes that differ between
students.

Letters: R students of n nodes and d inputs, c clusters.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from tsl.errors import InputError
from tsl.theory.activation import Activation

EVEN_OR_ODD = ("erf", "tanh", "sigmoid", "quadratic")
"""Activations with g(−x) = ±g(x), up to a constant: a node with weights −w computes the same as one with w."""


class Clusters(NamedTuple):
    """Groups of nodes that most students share.

    Attributes:
        centre: Weights of each cluster's node, its bias last, `[c, d + 1]`; of length 1 if the
            activation does not determine the length.
        students: How many students have a node in it, `[c]`.
        nodes: How many nodes it has, `[c]`.
        spread: The largest distance of one of its nodes to the centre, `[c]`.
    """

    centre: Tensor
    students: Tensor
    nodes: Tensor
    spread: Tensor


def check_identified(activation: Activation) -> None:
    """Refuse an activation for which the function does not determine the nodes.

    Raises:
        InputError: If it is linear.
    """
    if activation.name == "linear" or activation.negative_slope == 1:
        raise InputError(
            "the nodes of a linear network are not determined by its function, which is only the product of its "
            "layers: take students with another activation"
        )


def canonical(weights: Tensor, activation: Activation) -> Tensor:
    """Weights `[..., d + 1]`, scaled to length 1 if the activation does not determine their length."""
    if activation.degree is None:
        return weights
    return weights / weights.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def node_distance(first: Tensor, second: Tensor, activation: Activation) -> Tensor:
    """The distance between nodes: the distance of their weights divided by the mean of their lengths.

    It is from 0 to 2; 1.41 for weights of equal length at right angles. If the activation does not determine the length
    of the weights, both are first scaled to length 1. If it does not determine their sign, the nearer one is taken.

    Args:
        first: Weights with the bias last, in units in which an input has the variance 1, `[m, d + 1]`.
        second: The same for other nodes, `[n, d + 1]`.
        activation: Activation of both.

    Returns:
        `[m, n]`.
    """
    u, v = canonical(first, activation), canonical(second, activation)
    exactly = "donot_use_mm_for_euclid_dist"
    apart = torch.cdist(u, v, compute_mode=exactly)
    if activation.name in EVEN_OR_ODD:
        apart = torch.minimum(apart, torch.cdist(u, -v, compute_mode=exactly))
    length = (u.norm(dim=-1).unsqueeze(-1) + v.norm(dim=-1)) / 2
    return apart / length.clamp(min=torch.finfo(length.dtype).tiny)


def cluster_nodes(
    weights: Tensor, fan_out: Tensor, activation: Activation, distance: float = 0.1, share: float = 0.8
) -> Clusters:
    """Cluster the nodes of all students by average linkage, and keep the clusters that most students share.

    Args:
        weights: Weights with the bias last, in units in which an input has the variance 1, `[R, n, d + 1]`.
        fan_out: ‖v_k‖ of each node, `[R, n]`; it weights the nodes in a cluster's centre by their part in the output.
        activation: Activation of the students.
        distance: Mean `node_distance` up to which two groups of nodes are merged into one cluster.
        share: Fraction of the students that must have a node in a cluster for it to be kept.

    Returns:
        The clusters, those of the most important nodes first.
    """
    students = len(weights)
    flat = weights.flatten(0, 1).double()
    importance = (fan_out.flatten().double() * flat.norm(dim=-1) ** (activation.degree or 0)).numpy()
    apart = node_distance(flat, flat, activation).numpy()
    if len(flat) == 1:
        label = np.ones(1, dtype=int)
    else:
        label = fcluster(linkage(squareform(apart, checks=False), "average"), distance, criterion="distance")
    student = np.repeat(np.arange(students), weights.shape[1])
    kept = [np.flatnonzero(label == number) for number in np.unique(label)]
    kept = [members for members in kept if len(np.unique(student[members])) >= share * students]
    kept.sort(key=lambda members: -importance[members].sum())
    u = canonical(flat, activation)
    centres = [_centre(u[members], torch.from_numpy(importance[members]), activation) for members in kept]
    centre = torch.stack(centres) if kept else flat.new_zeros(0, flat.shape[-1])
    spread = [node_distance(centre[[i]], flat[members], activation).max() for i, members in enumerate(kept)]
    return Clusters(
        centre,
        torch.tensor([len(np.unique(student[members])) for members in kept], dtype=torch.int64),
        torch.tensor([len(members) for members in kept], dtype=torch.int64),
        torch.tensor(spread, dtype=torch.float64),
    )


def _centre(u: Tensor, importance: Tensor, activation: Activation) -> Tensor:
    """The mean of nodes `[nodes, d + 1]` by importance, each with the sign of the most important one."""
    if activation.name in EVEN_OR_ODD:
        sign = (u @ u[importance.argmax()]).sign().unsqueeze(-1)
        u = torch.where(sign < 0, -u, u)
    mean = (importance.unsqueeze(-1) * u).sum(dim=0) / importance.sum().clamp(min=torch.finfo(u.dtype).tiny)
    return canonical(mean, activation)
