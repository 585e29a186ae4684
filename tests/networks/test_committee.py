import pytest
import torch

from tsl.errors import InputError
from tsl.networks import MLP, CommitteeInitialization
from tsl.randomness import replicate_generators


def made(nodes: list[int], dim: int = 40, **settings: object) -> MLP:
    network = MLP(2, input_dim=dim, widths=nodes, output_dim=1).double()
    CommitteeInitialization(**settings)(network, replicate_generators("teacher", 0, 2))  # type: ignore[arg-type]
    return network


def test_orthogonal_vectors_have_the_overlaps_of_theory() -> None:
    network = made([3], norm=[1.0, 2.0], orthogonal=True, readout="mean")
    W = network.layers[0].weight
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(W @ W.mT, torch.stack([identity, 4 * identity]), rtol=0, atol=1e-12)
    assert torch.equal(network.layers[1].weight, torch.full((2, 1, 3), 1 / 3, dtype=torch.float64))
    assert not any(layer.bias.any() for layer in network.layers)
    assert not torch.allclose(W[0] * 2, W[1])


def test_other_vectors_have_their_norm_in_the_mean_square() -> None:
    network = made([200], dim=300, norm=0.5, readout=-2.0)
    assert network.layers[0].weight.detach().square().sum(dim=2).mean() == pytest.approx(0.25, rel=0.02)
    assert (network.layers[1].weight == -2).all()


def test_what_cannot_be_a_committee_is_refused() -> None:
    with pytest.raises(InputError, match="for one hidden layer"):
        made([3, 3])
    with pytest.raises(InputError, match="5 vectors of 4 inputs cannot all be at right angles"):
        made([5], dim=4, orthogonal=True)
