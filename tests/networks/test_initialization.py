import numpy as np
import pytest
import torch

from tsl.errors import InputError
from tsl.networks import (
    MLP,
    AdversarialInitialization,
    GaussianInitialization,
    Initialization,
    SeparableInitialization,
)
from tsl.networks.initialization import separable_rows
from tsl.randomness import generator, replicate_generators


def initialized(initialization: Initialization, replicates: int = 3, teacher: MLP | None = None, seed: int = 0) -> MLP:
    network = MLP(replicates, input_dim=8, widths=[6], output_dim=5).double()
    initialization(network, replicate_generators("teacher", seed, replicates), teacher)
    return network


def test_separable_rows_are_on_the_grid_nonzero_and_in_different_directions() -> None:
    rows = separable_rows(40, 2, generator("teacher", 0)).numpy()  # 2 dimensions force many redraws
    assert set(np.unique(rows)) <= set(np.arange(-4, 5) / 4)
    assert (np.abs(rows).sum(axis=1) > 0).all()
    for j in range(40):
        for k in range(j):
            cross = rows[j, 0] * rows[k, 1] - rows[j, 1] * rows[k, 0]
            assert cross != 0 or rows[j] @ rows[k] < 0


def test_impossible_separable_rows() -> None:
    with pytest.raises(InputError, match="no 3 separable weight vectors found in 1 dimensions"):
        separable_rows(3, 1, generator("teacher", 0))


def test_separable_teacher_has_unit_nodes_constant_biases_and_fan_out_that_decays() -> None:
    polarity = [0.0, 1.0, 2.0]
    teacher = initialized(SeparableInitialization(polarity=polarity, bias=-0.1))
    torch.testing.assert_close(teacher.layers[0].weight.norm(dim=-1), torch.ones(3, 6, dtype=torch.float64))
    assert all((layer.bias == torch.tensor(-0.1)).all() or (layer.bias == -0.1).all() for layer in teacher.layers)
    for r, p in enumerate(polarity):
        for j in range(6):
            grid = teacher.layers[1].weight[r, :, j].detach() * (j + 1) ** p * 4
            torch.testing.assert_close(grid, grid.round(), rtol=0, atol=1e-12)
            assert 1 <= grid.abs().max().round() <= 4


def test_gaussian_has_its_standard_deviation_and_no_bias() -> None:
    student = MLP(2, input_dim=300, widths=[100], output_dim=10).double()
    GaussianInitialization(std=[0.005, 2.0])(student, replicate_generators("student", 0, 2))
    weight = student.layers[0].weight.detach()
    np.testing.assert_allclose(weight.std(dim=(1, 2)), [0.005, 2.0], rtol=4 / np.sqrt(2 * 30_000))
    np.testing.assert_allclose(weight.mean(dim=(1, 2)), 0, atol=4 * 2 / np.sqrt(30_000))
    assert all((layer.bias == 0).all() for layer in student.layers)


@pytest.mark.parametrize("initialization", [SeparableInitialization(polarity=1.0), GaussianInitialization()])
def test_replicate_r_among_many_is_the_replicate_alone(initialization: Initialization) -> None:
    many = initialized(initialization, replicates=3, seed=7)
    for r in range(3):
        alone = initialized(initialization, replicates=1, seed=7 + r)
        for a, b in zip(many.parameters(), alone.parameters(), strict=True):
            assert torch.equal(a[r], b[0])


def test_adversarial_start_pushes_every_student_along_the_weakest_teacher_node() -> None:
    teacher = initialized(SeparableInitialization(polarity=1.0))
    teacher.layers[1].weight.data[1, :, 2] = 1e-3  # in replicate 1 node 3 is the weakest
    plain = initialized(GaussianInitialization(std=1.0))
    towards, away = (
        initialized(AdversarialInitialization(GaussianInitialization(std=1.0), direction, 2.0), teacher=teacher)
        for direction in ("towards", "away")
    )
    for r, node in enumerate([5, 2, 5]):
        target = teacher.layers[0].weight[r, node]
        for k in range(6):
            weight = plain.layers[0].weight[r, k]
            push = 2.0 * weight.norm() * target
            torch.testing.assert_close(towards.layers[0].weight[r, k], weight + push)
            torch.testing.assert_close(away.layers[0].weight[r, k], weight - push)
    torch.testing.assert_close(away.layers[1].weight, plain.layers[1].weight)


def test_adversarial_start_without_a_teacher() -> None:
    with pytest.raises(InputError, match="needs its teacher"):
        initialized(AdversarialInitialization(GaussianInitialization()))


def test_a_list_of_another_length_than_the_replicates() -> None:
    with pytest.raises(InputError, match="polarity lists 2 values for 3 replicates"):
        initialized(SeparableInitialization(polarity=[1.0, 2.0]))
    with pytest.raises(InputError, match="std lists 2 values for 3 replicates"):
        initialized(GaussianInitialization(std=[1.0, 2.0]))
