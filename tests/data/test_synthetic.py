from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from tests.conftest import make_data, make_module


class Watch(pl.Callback):
    """Keeps the training inputs of every epoch and the evaluation inputs by split."""

    def __init__(self) -> None:
        self.train: list[Tensor] = []
        self.evaluated: dict[str, Tensor] = {}

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Tensor, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.evaluated[trainer.val_dataloaders[dataloader_idx].split] = batch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.train.append(trainer.datamodule.train_samples(trainer.current_epoch).inputs.clone())


def watched(fit: Any, **settings: Any) -> Watch:
    watch = Watch()
    replicates, seed = settings.get("replicates", 1), settings.get("seed", 0)
    fit(make_module(replicates=replicates, seed=seed), make_data(**settings), callbacks=[watch], max_epochs=2)
    return watch


def test_inputs_have_the_trainers_precision_and_are_drawn_apart(fit: Any) -> None:
    watch = watched(fit, replicates=2, evaluate_train=True, eval_batch_size=1000)
    train, val = watch.train[0], watch.evaluated["val"]
    assert (train.shape, val.shape, train.dtype) == ((2, 60, 6), (2, 50, 6), torch.float64)
    assert torch.equal(watch.evaluated["train"], train)
    assert len(torch.cat([train, val], dim=1).flatten().unique()) == 2 * 110 * 6
    assert not torch.equal(train, train.float().double())  # drawn in float64, not rounded to float32 on the way


def test_inputs_stay_or_are_drawn_anew_in_every_epoch(fit: Any) -> None:
    same, fresh = watched(fit), watched(fit, fresh_inputs=True)
    assert torch.equal(same.train[0], same.train[1])
    assert torch.equal(same.train[0], fresh.train[0])
    assert len(torch.cat(fresh.train).flatten().unique()) == 2 * 60 * 6


@pytest.mark.parametrize("fresh_inputs", [False, True])
def test_replicate_r_among_many_has_the_inputs_of_the_replicate_alone(fit: Any, fresh_inputs: bool) -> None:
    many = watched(fit, replicates=3, seed=4, fresh_inputs=fresh_inputs, eval_batch_size=1000)
    for r in range(3):
        alone = watched(fit, replicates=1, seed=4 + r, fresh_inputs=fresh_inputs, eval_batch_size=1000)
        assert torch.equal(many.train[1][r], alone.train[1][0])
        assert torch.equal(many.evaluated["val"][r], alone.evaluated["val"][0])


def test_a_seed_means_the_same_inputs_in_every_precision(fit: Any) -> None:
    double, single = Watch(), Watch()
    fit(make_module(), make_data(), callbacks=[double])
    fit(make_module(), make_data(), callbacks=[single], precision="32-true")
    assert torch.equal(double.train[0].float(), single.train[0])


@pytest.mark.filterwarnings("ignore:You called `self.log.*but have no logger configured")
def test_validating_alone_evaluates_the_training_inputs_too(fit: Any) -> None:
    module, data = make_module(), make_data(evaluate_train=True)
    trainer = fit(module, data)
    assert len(trainer.validate(module, datamodule=data, verbose=False)) == 2
