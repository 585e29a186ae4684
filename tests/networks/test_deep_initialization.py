import numpy as np
import pytest
import torch

from tsl.errors import InputError
from tsl.networks import MLP, DeepSeparableInitialization, DefaultInitialization, Initialization
from tsl.networks.initialization import SEPARABLE_VALUES
from tsl.randomness import replicate_generators


def initialized(initialization: Initialization, replicates: int = 3, seed: int = 0, **settings: object) -> MLP:
    settings = {"input_dim": 8, "widths": [6, 9], "output_dim": 5} | settings
    network = MLP(replicates, **settings).double()  # type: ignore[arg-type]
    initialization(network, replicate_generators("teacher", seed, replicates))
    return network


@pytest.mark.parametrize("bias", [True, False])
def test_deep_separable_weights_have_unit_norm_and_come_from_the_grid(bias: bool) -> None:
    """Undoing norm and polarity gives back rows of the grid in which every column decays as the node below it."""
    polarity = [0.0, 1.0, 2.0]
    teacher = initialized(DeepSeparableInitialization(polarity), bias=bias)
    biases = []
    for number, layer in enumerate(teacher.layers):
        for r, p in enumerate(polarity):
            rows = layer.weight[r].detach().numpy()
            if bias:
                rows = np.column_stack([rows, layer.bias[r].detach().numpy()])
            np.testing.assert_allclose((rows[:, : layer.weight.shape[2]] ** 2).sum(axis=1), 1, rtol=1e-12)
            for row in rows:
                weight = row[: layer.weight.shape[2]].copy()
                if number > 0:
                    weight *= np.arange(1, len(weight) + 1) ** p
                # The row was divided by some norm: one of the grid's values for the largest entry undoes it.
                scales = np.array([value for value in SEPARABLE_VALUES if value > 0]) / np.abs(weight).max()
                grids = weight * scales[:, None] * 4
                fits = np.abs(grids - grids.round()).max(axis=1) < 1e-9
                assert fits.any()
                if bias and fits.sum() == 1:
                    biases.append(row[-1] * scales[fits][0])
    if bias:
        assert np.abs(biases).max() <= 0.5
        assert np.std(biases) == pytest.approx(1 / np.sqrt(12), rel=0.25)
        assert abs(np.mean(biases)) < 4 / np.sqrt(12 * len(biases))


def test_strengths_of_a_hidden_layer_decay_with_polarity() -> None:
    """Over many nodes above, mean squares of the columns go as j^(−2p) once the rows' common scale is taken out."""
    teacher = initialized(DeepSeparableInitialization(1.0), replicates=1, widths=[10, 3000], bias=False, output_dim=1)
    columns = teacher.layers[1].weight[0].detach().square().mean(dim=0)
    assert (columns.diff() < 0)[:4].all()
    flat = initialized(DeepSeparableInitialization(0.0), replicates=1, widths=[10, 3000], bias=False, output_dim=1)
    columns = flat.layers[1].weight[0].detach().square().mean(dim=0)
    np.testing.assert_allclose(columns, 0.1, rtol=0.15)


def test_default_is_uniform_within_the_bounds_of_torch() -> None:
    student = initialized(DefaultInitialization(), replicates=2, input_dim=200, widths=[300], output_dim=40)
    for layer in student.layers:
        torch_layer = torch.nn.Linear(layer.weight.shape[2], layer.weight.shape[1])
        for ours, theirs in ((layer.weight, torch_layer.weight), (layer.bias, torch_layer.bias)):
            bound = 1 / np.sqrt(layer.weight.shape[2])
            for values in ours.detach().flatten(1):
                count = values.numel()
                assert values.abs().max() <= bound
                assert values.abs().max() > bound * (1 - 10 / count)
                assert abs(values.mean()) < 5 * bound / np.sqrt(3 * count)
                assert values.square().mean() == pytest.approx(bound**2 / 3, rel=5 * 0.9 / np.sqrt(count))
                wide = np.sqrt(1 / count + 1 / theirs.numel())
                assert values.std() == pytest.approx(theirs.std().item(), rel=5 * wide)
        assert not torch.equal(layer.weight[0], layer.weight[1])


@pytest.mark.parametrize("initialization", [DeepSeparableInitialization(0.5), DefaultInitialization()])
@pytest.mark.parametrize("batch_norm", [None, "before"])
def test_replicate_r_among_many_is_the_replicate_alone(initialization: Initialization, batch_norm: str | None) -> None:
    many = initialized(initialization, replicates=3, seed=7, batch_norm=batch_norm)
    for r in range(3):
        alone = initialized(initialization, replicates=1, seed=7 + r, batch_norm=batch_norm)
        for a, b in zip(many.state_dict().values(), alone.state_dict().values(), strict=True):
            assert torch.equal(a[r], b[0])


def test_a_polarity_for_another_number_of_replicates() -> None:
    with pytest.raises(InputError, match="polarity lists 2 values for 3 replicates"):
        initialized(DeepSeparableInitialization([1.0, 2.0]))
