"""Oracles: students made of a teacher's nodes, split, scaled and shuffled, and nodes of their own."""

import math

import pytest
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.networks.clusters import check_identified, cluster_nodes, node_distance
from tsl.theory.activation import Activation

R, m, DIM = 5, 3, 8
RELU, ERF = Activation("relu"), Activation("erf")


def students(activation: Activation, noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """A teacher's nodes `[m, d + 1]`, and its students' nodes `[R, 6, d + 1]` and their fan-out.

    A student has every teacher node, the first one twice, and two nodes of its own; student 0 has not learned teacher
    node 3. Lengths and signs are random where the activation leaves them open.
    """
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    teacher = normal(m, DIM + 1)
    if activation is RELU:
        teacher = teacher / teacher.norm(dim=1, keepdim=True)
    nodes = []
    for r in range(R):
        copies = torch.cat([teacher, teacher[:1]])
        if r == 0:
            copies[2] = normal(DIM + 1)
        scale = normal(4, 1).exp() if activation is RELU else normal(4, 1).sign()
        own = torch.cat([scale * copies, normal(2, DIM + 1)])
        nodes.append((own + noise * normal(6, DIM + 1))[torch.randperm(6, generator=draw)])
    return teacher, torch.stack(nodes), torch.ones(R, 6)


@pytest.mark.parametrize("activation", [RELU, ERF], ids=str)
@pytest.mark.parametrize(("noise", "error"), [(0.0, 1e-14), (0.01, 0.05)])
def test_nodes_that_students_share_are_those_of_the_teacher(activation: Activation, noise: float, error: float) -> None:
    teacher, nodes, fan_out = students(activation, noise)
    found = cluster_nodes(nodes, fan_out, activation, distance=0.2)
    apart = torch.stack(
        [torch.minimum((found.centre - t).norm(dim=1), (found.centre + t).norm(dim=1)) for t in teacher]
    )
    if activation is RELU:
        apart = torch.stack([(found.centre - t).norm(dim=1) for t in teacher])
    nearest, which = apart.min(dim=1)
    assert (nearest <= error).all()
    assert sorted(which.tolist()) == [0, 1, 2]
    assert found.students[which].tolist() == [R, R, R - 1]
    assert found.nodes[which].tolist() == [2 * R, R, R - 1]
    assert (found.spread <= 20 * noise + 1e-14).all()
    assert len(cluster_nodes(nodes, fan_out, activation, distance=0.2, share=1.0).centre) == 2


def test_distances_are_relative_and_know_what_is_open() -> None:
    a, b = (
        torch.tensor([[3.0, 4.0]], dtype=torch.float64),
        torch.tensor([[6.0, 8.0], [-3.0, -4.0]], dtype=torch.float64),
    )
    assert node_distance(a, b, RELU).tolist() == [[pytest.approx(0, abs=1e-15), pytest.approx(2)]]
    assert node_distance(a, b, ERF).tolist() == [[pytest.approx(5 / 7.5), pytest.approx(0)]]
    assert node_distance(a, b, Activation("quadratic")).tolist() == [[pytest.approx(0, abs=1e-15)] * 2]
    right = torch.tensor([[-4.0, 3.0]]).double()
    assert node_distance(a, right, ERF).item() == pytest.approx(math.sqrt(2))
    assert node_distance(a, 0 * right, RELU).item() == pytest.approx(2)  # a dead node is like no other


def test_a_single_node_is_a_cluster() -> None:
    nodes = torch.tensor([[[1.0, 0.0]]])
    assert cluster_nodes(nodes, torch.ones(1, 1), ERF).centre.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("activation", [Activation("linear"), Activation("relu", 1.0)])
def test_linear_nodes_are_refused(activation: Activation) -> None:
    with pytest.raises(InputError, match="nodes of a linear network are not determined by its function"):
        check_identified(activation)
