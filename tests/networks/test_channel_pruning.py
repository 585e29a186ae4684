from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.networks import MLP, ConvNet
from tsl.networks.channel_pruning import KeptNodes, compacted, outgoing_magnitudes, strongest_nodes
from tsl.networks.feed_forward import FeedForward
from tsl.networks.pruning import without_nodes

Make = Callable[..., FeedForward]
IMAGES = torch.randn(2, 6, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
WIDTHS = [6, 4, 5]


@pytest.fixture(params=["convolutions", "linear"])
def make(request: pytest.FixtureRequest, make_convnet: Make, make_network: Make) -> Make:
    """Networks of either kind, of three hidden layers, on inputs of 3 × 8 × 8."""
    if request.param == "convolutions":
        return partial(make_convnet, widths=WIDTHS)
    return partial(make_network, widths=WIDTHS, input_dim=192)


def magnitude(network: FeedForward, hidden: int, r: int, node: int) -> float:
    """The mean magnitude of a node's outgoing weights, one weight after the other."""
    weight = network.layers[hidden + 1].weight[r].detach().numpy()
    entries = []
    if weight.ndim == 4:
        for out, row, column in np.ndindex(weight.shape[0], *weight.shape[2:]):
            entries.append(abs(weight[out, node, row, column]))
    else:
        positions = weight.shape[1] // network.widths[hidden]
        for out in range(weight.shape[0]):
            for position in range(positions):
                entries.append(abs(weight[out, node * positions + position]))
    return float(np.mean(entries))


def test_the_nodes_pruned_are_those_of_a_plain_loop(make: Make) -> None:
    network = make()
    kept = strongest_nodes(network, [0.5, 0.25, 0.6])
    for hidden, removed in enumerate((3, 1, 3)):
        nodes = range(network.widths[hidden])
        for r in range(2):
            magnitudes = [magnitude(network, hidden, r, node) for node in nodes]
            np.testing.assert_allclose(outgoing_magnitudes(network)[hidden][r], magnitudes, rtol=1e-12)
            weakest = sorted(nodes, key=magnitudes.__getitem__)[:removed]
            assert [node for node in nodes if not kept[hidden][r, node]] == sorted(weakest)


def test_ratios_are_rounded_down_to_whole_nodes(make_convnet: Make) -> None:
    network = make_convnet(widths=[64, 64], input_shape=[1, 5, 5])
    for ratio, removed in ((0.3, 19), (0.7, 44), (0.5, 32), (0.0, 0)):
        assert (~strongest_nodes(network, [ratio, 0])[0]).sum(dim=1).tolist() == [removed, removed]


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ([0.5, 0.5], "--ratios gives 2 numbers for 3 hidden layers: give one for each layer"),
        ([0.5, 1.0, 0.5], "--ratios 1: at least one of a layer's 4 nodes has to stay"),
        ([0.5, 0.5, -0.5], "--ratios -0.5: .* give a fraction from 0 to below 1"),
    ],
)
def test_ratios_that_make_no_sense(make: Make, ratios: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strongest_nodes(make(), ratios)


def outputs_with_nodes_silenced(network: FeedForward, silent: list[Tensor]) -> Tensor:
    """What a network computes when what some nodes hand on, BatchNorm counted, is set to 0."""
    signal = IMAGES
    for hidden, layer in enumerate(network.layers[:-1]):
        signal = layer(signal)
        if network.batch_norm == "before":
            signal = network.norms[hidden](signal)
        signal = network.activation(signal)
        if network.batch_norm == "after":
            signal = network.norms[hidden](signal)
        signal = signal * (~silent[hidden]).view(2, 1, -1, *[1] * (signal.ndim - 3))
    return network.layers[-1](signal)


@pytest.mark.parametrize("batch_norm", [None, "before", "after"])
@pytest.mark.parametrize("more", [{}, {"bias": False, "negative_slope": 0.2}, {"dropout": 0.5}])
def test_masked_and_compacted_networks_compute_the_same(
    make: Make, batch_norm: str | None, more: dict[str, Any]
) -> None:
    network = make(batch_norm=batch_norm, **more).eval()
    kept = strongest_nodes(network, [0.5, 0.5, 0.4])
    expected = outputs_with_nodes_silenced(network, [~of_layer for of_layer in kept])
    KeptNodes(kept).mask_(network)
    for active, of_layer in zip(network.active_nodes(), kept, strict=True):
        assert torch.equal(active, of_layer)
    torch.testing.assert_close(network(IMAGES), expected, rtol=1e-12, atol=1e-12)
    small = compacted(network)
    assert small.widths == [3, 2, 3]
    assert (type(small), small.training, small.batch_norm) == (type(network), False, batch_norm)
    torch.testing.assert_close(small(IMAGES), expected, rtol=1e-12, atol=1e-12)
    single = compacted(network.float())
    torch.testing.assert_close(single(IMAGES.float()), expected.float(), rtol=0, atol=1e-5)
    for a, b in zip(single.activations(IMAGES.float()).post, network.activations(IMAGES.float()).post, strict=True):
        assert a.shape[2] < b.shape[2]


@pytest.mark.parametrize("settings", [{"padding": 1}, {"padding": 1, "stride": 2}, {"kernel_size": [3, 1, 2]}])
def test_compaction_is_exact_at_padded_borders(make_convnet: Make, settings: dict[str, Any]) -> None:
    """BatchNorm after the activation makes a silent channel a constant other than 0; no weight carries it on."""
    network = make_convnet(widths=WIDTHS, batch_norm="after", **settings).eval()
    KeptNodes(strongest_nodes(network, [0.5, 0.5, 0.4])).mask_(network)
    torch.testing.assert_close(compacted(network)(IMAGES), network(IMAGES), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_the_constants_of_removed_channels_move_into_biases(make_convnet: Make, hidden: int) -> None:
    """A channel without incoming weights is constant, and goes unnoticed if the next convolution does not pad."""
    network = make_convnet(widths=WIDTHS, batch_norm="after").eval()
    with torch.no_grad():
        network.layers[hidden].weight[:, 1:3] = 0
    constants = network.activations(IMAGES).post[hidden].mean(dim=(1, 3, 4))
    keep = torch.tensor([[k for k in range(network.widths[hidden]) if k not in (1, 2)]] * 2)
    smaller = without_nodes(network, hidden, keep, constants)
    torch.testing.assert_close(smaller(IMAGES), network(IMAGES), rtol=1e-11, atol=1e-11)
    padded = make_convnet(widths=WIDTHS, padding=1)
    if hidden < 2:
        with pytest.raises(InputError, match=rf"convolution {hidden + 2} pads its maps"):
            without_nodes(padded, hidden, keep, constants)
    else:
        without_nodes(padded, hidden, keep, constants)


def test_replicates_with_fewer_active_nodes_keep_pruned_ones(make: Make) -> None:
    network = make(batch_norm="after").eval()
    kept = [torch.ones(2, width, dtype=torch.bool) for width in WIDTHS]
    kept[0][0, :4] = kept[0][1, 2] = False
    KeptNodes(kept).mask_(network)
    small = compacted(network)
    assert small.widths == [5, 4, 5]
    torch.testing.assert_close(small(IMAGES), network(IMAGES), rtol=1e-12, atol=1e-12)


def test_a_whole_network_stays_as_it_is(make: Make) -> None:
    network = make()
    masks = KeptNodes(network.active_nodes())
    assert not masks.pruned_layers
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    masks.mask_(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert compacted(network).widths == WIDTHS
    assert isinstance(network, (MLP, ConvNet))
    assert masks.state_dict() == {}
