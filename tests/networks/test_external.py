from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from tsl.errors import InputError
from tsl.networks import External

LAYERS = ["1", "4"]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, 5),
    )


def external(**settings: Any) -> External:
    defaults: dict[str, Any] = {"replicates": 2, "input_shape": [2, 8, 8], "layers": LAYERS, "module": small()}
    return External(**(defaults | settings))


def test_it_computes_what_its_module_does_layer_by_layer() -> None:
    made, reference = external().train(), small().eval()
    assert (made.widths, made.map_sizes, made.output_dim) == ([3, 4], [(6, 6), (6, 6)], 5)
    inputs = torch.randn(2, 6, 2, 8, 8)
    activations = made.activations(inputs)
    for r in range(2):
        signal, post = inputs[r], []
        for name, module in reference.named_children():
            signal = module(signal)
            post += [signal.clone()] if name in LAYERS else []
        torch.testing.assert_close(activations.output[r], signal)
        for ours, theirs in zip(activations.post, post, strict=True):
            torch.testing.assert_close(ours[r], theirs)
    assert all(pre is post for pre, post in zip(activations.pre, activations.post, strict=True))
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_what_comes_before_an_activation_in_place_is_seen_as_it_was() -> None:
    post = external(layers=["0"]).activations(torch.randn(2, 6, 2, 8, 8)).post[0]
    assert (post < 0).any()


def test_no_node_is_pruned_and_strengths_are_unknown() -> None:
    made = external()
    assert [active.shape for active in made.active_nodes()] == [(2, 3), (2, 4)]
    assert all(active.all() for active in made.active_nodes())
    strengths = made.squared_strengths(made.activations(torch.randn(2, 6, 2, 8, 8)), torch.Generator())
    assert [values.shape for values in strengths] == [(2, 3), (2, 4)]
    assert all(values.isnan().all() for values in strengths)


def test_a_resnet_of_torchvision_with_weights_of_a_file(tmp_path: Path) -> None:
    """Of a block's ReLU, which is called twice, the output of the block is watched."""
    reference = torchvision.models.resnet18(weights=None).eval()
    torch.save(reference.state_dict(), tmp_path / "resnet.pt")
    settings = {"torchvision_model": "resnet18", "module": None, "weights": str(tmp_path / "resnet.pt")}
    made = external(layers=["layer1.0.relu", "layer3.1.relu"], input_shape=[3, 32, 32], **settings)
    inputs = torch.randn(2, 3, 3, 32, 32)
    activations = made.activations(inputs)
    stem = reference.maxpool(reference.relu(reference.bn1(reference.conv1(inputs[1]))))
    torch.testing.assert_close(activations.post[0][1], reference.layer1[0](stem))
    torch.testing.assert_close(activations.output[1], reference(inputs[1]), rtol=1e-4, atol=1e-4)
    assert made.map_sizes == [(8, 8), (2, 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"module": None}, "expected either module or torchvision_model"),
        ({"torchvision_model": "resnet18"}, "expected either module or torchvision_model"),
        ({"module": None, "torchvision_model": "resnet19"}, "resnet19: no such model; nearest: .*resnet18"),
        (
            {"layers": ["1", "relu"]},
            r"= \['1', 'relu'\]: no such layers as \['relu'\]; choose, .* among 0, 1, 2",
        ),
        ({"layers": []}, r"layers = \[\]: no such layers"),
        ({"input_shape": [3, 8, 8]}, r"input_shape = \[3, 8, 8\] does not fit Sequential: .*channels"),
        ({"module": small()[:5]}, r"layers: output of Sequential cannot be watched: .* got \[2, 4, 6, 6\]"),
    ],
)
def test_what_cannot_be_a_teacher(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        external(**settings)


def test_files_that_are_not_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(InputError, match=r"weights = .*weights.pt: no such file"):
        external(weights=str(path))
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="is damaged, or holds more than tensors"):
        external(weights=str(path))
    torch.save(small(), path)
    with pytest.raises(InputError, match="is damaged, or holds more than tensors"):
        external(weights=str(path))
    torch.save({"state_dict": small().state_dict()}, path)
    with pytest.raises(InputError, match=r"holds state dicts under state_dict: choose one with weights_key"):
        external(weights=str(path))
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds no state dict of tensors by name"):
        external(weights=str(path))
    state = small().state_dict()
    state["other"] = state.pop("0.bias")
    state["3.bias"] = torch.zeros(5)
    torch.save(state, path)
    with pytest.raises(InputError, match=r"missing 0.bias; unexpected other; of another shape 3.bias \[5\] for \[4\]"):
        external(weights=str(path))


class InPlace(nn.Module):
    """Normalizes its inputs in place and calls its ReLU twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lower, self.upper, self.relu = nn.Linear(6, 4), nn.Linear(4, 3), nn.ReLU(inplace=True)
        self.idle = nn.ReLU()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs.sub_(1).div_(2)
        output: torch.Tensor = self.relu(self.upper(self.relu(self.lower(inputs))))
        return output


def test_a_module_that_changes_its_input_leaves_the_students_inputs_alone() -> None:
    made = External(2, input_shape=[6], layers=["relu#1", "relu#2"], module=InPlace())
    inputs = torch.randn(2, 5, 6)
    kept = inputs.clone()
    activations = made.activations(inputs)
    torch.testing.assert_close(inputs, kept, rtol=0, atol=0)
    module = made.module
    assert isinstance(module, InPlace)
    first = module.lower((kept - 1) / 2).relu()
    torch.testing.assert_close(activations.post[0], first)
    torch.testing.assert_close(activations.post[1], module.upper(first).relu())
    last = External(2, input_shape=[6], layers=["relu"], module=module).activations(inputs).post[0]
    torch.testing.assert_close(last, activations.post[1])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["relu", "relu#2"], "relu and relu#2 are the same; name each layer once"),
        (["relu#1", "relu#1"], "relu#1 and relu#1 are the same"),
        (["idle"], r"no such layers as \['idle'\] \(idle never ran\).*WatchedLayer"),
        (["relu#3"], r"no such layers as \['relu#3'\]"),
    ],
)
def test_calls_that_are_not_there_or_named_twice(layers: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        External(2, input_shape=[6], layers=layers, module=InPlace())
