from collections.abc import Callable

import numpy as np
import pytest
import torch

from tsl.errors import InputError
from tsl.networks import MLP
from tsl.randomness import replicate_generators


def test_dropped_nodes_are_zero_and_the_others_scaled(make_network: Callable[..., MLP]) -> None:
    """With the identity above it, the output is the layer above dropout: 0 or post / (1 − p), at rate p."""
    made = make_network(widths=[20], output_dim=20, dropout=0.3)
    with torch.no_grad():
        made.layers[1].weight.copy_(torch.eye(20))
        made.layers[1].bias.zero_()
        made.layers[0].bias += 5  # every node is active
    made.seed_dropout(replicate_generators("dropout", 0, 2))
    samples = 4000
    activations = made.activations(torch.randn(2, samples, 5, dtype=torch.float64))
    post = activations.post[0]
    dropped = activations.output == 0
    assert (post != 0).all()  # post is before dropout
    torch.testing.assert_close(activations.output, torch.where(dropped, 0.0, post / 0.7))
    rate = dropped.double().mean(dim=1).numpy()
    np.testing.assert_allclose(rate, 0.3, atol=5 * np.sqrt(0.3 * 0.7 / samples))
    both = (dropped[0] & dropped[1]).double().mean().item()  # the replicates' masks are independent
    assert abs(both - 0.3**2) < 5 * np.sqrt(0.09 / (20 * samples))


def test_a_replicate_drops_the_same_nodes_alone_and_again(make_network: Callable[..., MLP]) -> None:
    batches = torch.randn(2, 3, 9, 5, dtype=torch.float64)
    many = make_network(replicates=3, dropout=0.5)
    runs = []
    for _ in range(2):
        many.seed_dropout(replicate_generators("dropout", 7, 3, epoch=4))
        torch.rand(5)  # the global generator has no part in it
        runs.append([many(batch) for batch in batches])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert not torch.allclose(many(batches[1]), runs[0][1])  # a new mask for every batch
    for r in range(3):
        alone = make_network(replicates=1, dropout=0.5)
        alone.load_state_dict({name: values[r : r + 1] for name, values in many.state_dict().items()})
        alone.seed_dropout(replicate_generators("dropout", 7 + r, 1, epoch=4))
        for batch, expected in zip(batches, runs[0], strict=True):
            torch.testing.assert_close(alone(batch[r : r + 1])[0], expected[r], rtol=1e-12, atol=1e-12)


def test_evaluation_drops_nothing_and_draws_nothing(make_network: Callable[..., MLP]) -> None:
    inputs = torch.randn(2, 9, 5, dtype=torch.float64)
    made, plain = make_network(dropout=0.5), make_network()
    torch.testing.assert_close(made.eval()(inputs), plain(inputs))  # not seeded, and not in need of it
    made.train().seed_dropout(replicate_generators("dropout", 0, 2))
    first, second = made(inputs), made(inputs)
    made.seed_dropout(replicate_generators("dropout", 0, 2))
    assert torch.equal(made(inputs), first)
    made.eval()(inputs)
    assert torch.equal(made.train()(inputs), second)


def test_masks_are_the_same_in_either_precision(make_network: Callable[..., MLP]) -> None:
    inputs = torch.randn(2, 9, 5)
    outputs = []
    for dtype in (torch.float32, torch.float64):
        made = make_network(dropout=0.5).to(dtype)
        made.seed_dropout(replicate_generators("dropout", 0, 2))
        outputs.append(made(inputs.to(dtype)).double())
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_dropout_without_seeds_or_without_nodes(make_network: Callable[..., MLP]) -> None:
    with pytest.raises(InputError, match="call seed_dropout before training"):
        make_network(dropout=0.5)(torch.randn(2, 9, 5, dtype=torch.float64))
    with pytest.raises(InputError, match="dropout = 1: expected a probability from 0 to below 1"):
        make_network(dropout=1.0)
