"""Replicates compared with each other: each number is that of numpy and scipy on the same inputs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.optimize import linear_sum_assignment

from tests.conftest import make_data, make_module
from tests.labelled import TinyImages
from tsl.callbacks import SeedRecords
from tsl.errors import InputError
from tsl.modules import Classifier
from tsl.networks import ConvNet, DefaultInitialization, SeparableInitialization, SharedInitialization
from tsl.runs.records import read_table

Array = np.ndarray


def check(run: Path, layer: int, samples: list[Array]) -> None:
    """Compare a layer's records with activations `[samples, n]` of each replicate."""
    pairs, nodes = (
        read_table_of(run, table).query(f"layer == {layer} and epoch == epoch.max()")
        for table in ("seed_pairs", "seed_nodes")
    )
    varying = [np.flatnonzero(each.std(axis=0) > 1e-12) for each in samples]
    for r in range(len(samples)):
        for other in range(len(samples)):
            if r == other:
                continue
            t, s = samples[r][:, varying[r]], samples[other][:, varying[other]]
            rho = np.array(
                [[np.corrcoef(t[:, j], s[:, k])[0, 1] for k in range(s.shape[1])] for j in range(t.shape[1])]
            )
            of_nodes = nodes.query(f"replicate == {r} and other_replicate == {other}")
            assert of_nodes["node"].tolist() == (varying[r] + 1).tolist()
            np.testing.assert_allclose(of_nodes["best_correlation"], rho.max(axis=1), atol=1e-6)
            if r < other:
                row = pairs.query(f"replicate == {r} and other_replicate == {other}")
                matched = rho[linear_sum_assignment(rho, maximize=True)].mean()
                assert row["one_to_one"].item() == pytest.approx(matched, abs=1e-6)
                assert abs(row["one_to_one_null"].item()) < 0.35


def read_table_of(run: Path, table: str) -> Any:
    (run / "config.yaml").touch()
    return read_table(run, table)


def test_students_of_one_teacher(fit: Callable[..., pl.Trainer], tmp_path: Path) -> None:
    shared = SharedInitialization(SeparableInitialization())
    module = make_module(replicates=3, widths=[4, 4], teacher_initialization=shared)
    data = make_data(replicates=3)
    fit(module, data, max_epochs=2, callbacks=[SeedRecords()], num_sanity_val_steps=-1)
    assert read_table_of(tmp_path, "seed_pairs")["epoch"].unique().tolist() == [0, 2]
    data.draw("fit", torch.float64, torch.device("cpu"))
    inputs = torch.cat([batch[:1] for batch in data.val_dataloader()[0]], dim=1)
    with torch.no_grad():
        layers = module.student.eval().activations(inputs.expand(3, -1, -1)).post
    for number, post in enumerate(layers, start=1):
        check(tmp_path, number, [of_one.numpy() for of_one in post])
    for layer in module.teacher.layers:
        assert torch.equal(layer.weight[0], layer.weight[2])
    other = make_module(replicates=1, seed=7, widths=[4, 4], teacher_initialization=shared)
    torch.set_default_dtype(torch.float64)
    other.make_networks()
    torch.set_default_dtype(torch.float32)
    assert torch.equal(other.teacher.layers[0].weight[0], module.teacher.layers[0].weight[1])


def test_classifiers_with_maps_and_a_dead_node(fit: Callable[..., pl.Trainer], tmp_path: Path) -> None:
    network = partial(ConvNet, input_shape=[2, 8, 8], widths=[3, 4], output_dim=3)
    optimizer = partial(torch.optim.SGD, lr=0.05)
    module, data = Classifier(network, DefaultInitialization(), optimizer, replicates=3), TinyImages(replicates=3)
    module.configure_model = lambda: dead(module, data)  # type: ignore[method-assign]
    fit(module, data, max_epochs=1, callbacks=[SeedRecords()])
    images = data.images(48, seed=2).inputs.double()
    with torch.no_grad():
        layers = module.network.eval().activations(images.expand(3, *images.shape)).post
    for number, post in enumerate(layers, start=1):
        check(tmp_path, number, [maps.movedim(1, -1).flatten(0, -2).numpy() for maps in post])
    first = read_table_of(tmp_path, "seed_nodes").query("layer == 1 and replicate == 1")
    assert first["node"].unique().tolist() == [1, 2]


def dead(module: Classifier, data: TinyImages) -> None:
    module.make_networks(data)
    module.show_networks(data)
    with torch.no_grad():
        module.network.layers[0].bias[1, 2] = -100


@pytest.mark.parametrize(
    ("replicates", "message"),
    [(1, "set --replicates to 2 or more"), (2048, "at most 8192 nodes .* 2048 replicates × 8")],
)
def test_what_is_refused(fit: Callable[..., pl.Trainer], replicates: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(make_module(replicates=replicates), make_data(replicates=replicates), callbacks=[SeedRecords()])
