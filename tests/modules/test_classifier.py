from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.optim import SGD, AdamW

from tests.classifiers import train
from tests.conftest import make_data
from tests.labelled import TinyImages
from tests.wandb.wandb_file import read_wandb_runs
from tsl.errors import InputError
from tsl.modules import Classifier
from tsl.modules.losses import accuracy, label_cross_entropy
from tsl.networks import MLP, DefaultInitialization, Pretrained, load_network, save_network

ROOT = Path(__file__).parents[2]
SHAPE = [6]
NETWORK = partial(MLP, input_dim=6, widths=[8], output_dim=3)


def make_classifier(**settings: Any) -> Classifier:
    settings = {
        "network": NETWORK,
        "initialization": DefaultInitialization(),
        "optimizer": partial(SGD, lr=0.1),
    } | settings
    return Classifier(**settings)


def plain(module: Classifier, r: int) -> torch.nn.Sequential:
    """Replicate r as torch's own modules."""
    layers = [torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
    model = torch.nn.Sequential(*layers).double()
    for own, layer in zip(layers[::2], module.network.layers, strict=True):
        own.weight.data, own.bias.data = layer.weight[r].detach().clone(), layer.bias[r].detach().clone()
    return model


@pytest.mark.parametrize(
    "optimizer", [partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.01), partial(AdamW, lr=0.01)], ids=["SGD", "AdamW"]
)
def test_training_equals_plain_torch(fit: Any, optimizer: Any) -> None:
    """Every replicate against torch's modules, loss and optimizer on the same minibatches."""
    module, data = make_classifier(replicates=2, optimizer=optimizer), TinyImages(SHAPE, replicates=2)
    torch.set_default_dtype(torch.float64)
    module.make_networks()
    torch.set_default_dtype(torch.float32)
    references = [plain(module, r) for r in range(2)]
    seen: list[Any] = []
    training_step = module.training_step
    module.training_step = lambda batch, batch_idx: (seen.append(batch), training_step(batch, batch_idx))[1]
    assert fit(module, data, max_epochs=2).global_step == 12
    for r, reference in enumerate(references):
        stepper = optimizer(reference.parameters())
        losses = []
        for chunk in seen:
            for inputs, labels in zip(chunk.inputs[:, r], chunk.labels[:, r], strict=True):
                loss = torch.nn.functional.cross_entropy(reference(inputs), labels)
                stepper.zero_grad()
                loss.backward()
                stepper.step()
                losses.append(loss.item())
        for ours, its in zip(module.network.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(ours[r], its, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(module.train_loss.compute()[r].item(), np.mean(losses[6:]), rtol=1e-9, atol=0)
        images, labels = data.images(data.val_size, seed=2)
        outputs = reference(images.double())
        expected = torch.nn.functional.cross_entropy(outputs, labels).item()
        torch.testing.assert_close(module.val_loss.compute()[r].item(), expected, rtol=1e-7, atol=0)
        hits = np.mean(outputs.detach().numpy().argmax(axis=1) == labels.numpy())
        assert module.val_accuracy.compute()[r].item() == pytest.approx(hits)


def test_losses_against_torch() -> None:
    logits, labels = torch.randn(3, 7, 5, dtype=torch.float64), torch.randint(5, (3, 7))
    expected = torch.stack([torch.nn.functional.cross_entropy(logits[r], labels[r]) for r in range(3)])
    torch.testing.assert_close(label_cross_entropy(logits, labels), expected)
    assert accuracy(logits, labels).tolist() == [
        np.mean(logits[r].argmax(1).numpy() == labels[r].numpy()) for r in range(3)
    ]


def test_replicate_r_among_many_trains_as_the_replicate_alone(fit: Any) -> None:
    def trained(replicates: int, seed: int) -> list[torch.Tensor]:
        module = make_classifier(replicates=replicates, seed=seed)
        fit(module, TinyImages(SHAPE, replicates=replicates, seed=seed))
        return [parameter.detach() for parameter in module.network.parameters()]

    many = trained(3, seed=4)
    for r in range(3):
        for among, alone in zip(many, trained(1, seed=4 + r), strict=True):
            torch.testing.assert_close(among[r], alone[0], rtol=0, atol=1e-12)


def test_a_loss_that_is_not_finite_stops_training(fit: Any) -> None:
    module = make_classifier(replicates=2, optimizer=partial(SGD, lr=1e200))
    with pytest.raises(InputError, match=r"not finite in epoch 1, all 2 replicates: lower the learning rate"):
        fit(module, TinyImages(SHAPE, replicates=2))


def test_data_without_labels_is_refused(fit: Any) -> None:
    with pytest.raises(InputError, match=r"Classifier learns labels, but SyntheticDataModule has no labels"):
        fit(make_classifier(), make_data())


def test_data_of_another_shape_is_refused(fit: Any) -> None:
    with pytest.raises(InputError, match=r"inputs of shape \[7\], but the network takes \[6\]: set .*input_dim"):
        fit(make_classifier(), TinyImages([7]))


def test_networks_without_weights_are_refused(fit: Any) -> None:
    with pytest.raises(InputError, match=r"model.init_args.network = MLP comes without weights: set .*initialization"):
        fit(make_classifier(initialization=None), TinyImages(SHAPE))


def test_more_classes_than_outputs_are_refused(fit: Any) -> None:
    module = make_classifier(network=partial(MLP, input_dim=6, widths=[8], output_dim=2))
    with pytest.raises(
        InputError, match=r"labels go up to 2, counted from 0, but there are 2 outputs: set .*output_dim"
    ):
        fit(module, TinyImages(SHAPE), num_sanity_val_steps=1)


def test_pruned_nodes_stay_pruned(fit: Any, tmp_path: Path) -> None:
    """Through momentum, weight decay and BatchNorm: their outgoing weights are 0 to the bit, the others move."""
    network = MLP(2, input_dim=6, widths=[8, 5], output_dim=3, batch_norm="after")
    DefaultInitialization()(network, [torch.Generator().manual_seed(r) for r in range(2)])
    with torch.no_grad():
        network.layers[1].weight[0, :, :3] = 0
        network.layers[1].weight[1, :, 4:7] = 0
    save_network(network, tmp_path / "start.pt")
    module = make_classifier(
        network=partial(Pretrained, checkpoint=str(tmp_path / "start.pt")),
        initialization=None,
        optimizer=partial(AdamW, lr=0.01, weight_decay=0.1),
        replicates=2,
    )
    fit(module, TinyImages(SHAPE, replicates=2), max_epochs=3)
    before, after = network.layers[1].weight, module.network.layers[1].weight
    assert torch.equal(before == 0, after == 0)
    assert (after[after != 0] != before[before != 0].double()).all()


def test_the_best_checkpoint_is_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a learning rate that jumps back and forth; its accuracy, counted anew, is the highest in metrics.csv."""
    run = (
        train(tmp_path, "--model.init_args.optimizer", "torch.optim.SGD", "--model.init_args.optimizer.lr", "1.5")
        / "version_0"
    )
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "metrics.csv",
        "checkpoints",
        "status.json",
        "records",
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    logged = pd.read_csv(run / "metrics.csv").dropna(subset="val/accuracy").set_index("epoch")["val/accuracy"]
    assert list(logged.index) == [0, 1, 2, 3, 4]
    images, labels = TinyImages(SHAPE, noise=2.0).images(48, seed=2)
    scores = {}
    for name in ("best", "last"):
        network = load_network(run / f"checkpoints/{name}.ckpt").double()
        scores[name] = accuracy(network(images.double().expand(2, -1, -1)), labels.expand(2, -1)).mean().item()
    assert scores["best"] == pytest.approx(logged[1:].max())
    assert scores["last"] == pytest.approx(logged[4])
    assert scores["best"] > scores["last"], "choose another learning rate: the last epoch is the best"
    told = " ".join(capsys.readouterr().out.split())
    assert f"validation accuracy {scores['last']:.2%} at epoch 4, best {scores['best']:.2%} at epoch" in told
    assert f"the networks of the best epoch: {run / 'checkpoints/best.ckpt'}" in told


def test_resuming_is_exact(tmp_path: Path) -> None:
    train(tmp_path, "--version", "whole")
    train(tmp_path, "--version", "stopped", "--trainer.max_epochs", "2")
    runs = train(tmp_path, "--version", "stopped", "--ckpt_path", "last")
    for name in ("best", "last"):
        whole, stopped = (
            torch.load(runs / run / f"checkpoints/{name}.ckpt", weights_only=True) for run in ("whole", "stopped")
        )
        assert whole["epoch"] == stopped["epoch"]
        for key, tensor in whole["state_dict"].items():
            assert torch.equal(tensor, stopped["state_dict"][key]), key
    assert (runs / "whole/metrics.csv").read_text() == (runs / "stopped/metrics.csv").read_text()


def test_a_checkpoint_of_another_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = train(tmp_path, "--trainer.max_epochs", "1")
    stray = (runs / "version_0/checkpoints/last.ckpt").rename(tmp_path / "stray.ckpt")
    with pytest.raises(SystemExit):
        train(tmp_path, "--model.init_args.network.init_args.widths", "[9]", "--ckpt_path", str(stray))
    told = capsys.readouterr().err
    assert "network.layers.0.weight is [2, 8, 6] in the checkpoint, [2, 9, 6] here" in told
    assert "set model.init_args.network and replicates as in the checkpoint's run" in told


def test_the_wandb_overlay_watches_a_classifier_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tmp_path, "--config", str(ROOT / "configs/logger/wandb.yaml"))
    [logged] = read_wandb_runs(tmp_path)
    assert "val/accuracy" in {key for row in logged.history for key in row}
