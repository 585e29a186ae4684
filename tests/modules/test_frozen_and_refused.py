"""What stays as it is, and what is refused before training begins."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.conftest import DIM, OUTPUTS, make_data, make_module
from tsl.errors import InputError
from tsl.networks import MLP, AdversarialInitialization, DefaultInitialization, LikeTeacher, PerturbedTeacher

DEEP = [4, 5]


def test_frozen_layers_keep_batch_norm_and_norm(fit: Any) -> None:
    module = make_module(
        widths=DEEP,
        trained_layers=[2],
        student=LikeTeacher(multiplier=2, batch_norm="before"),
        student_initialization=DefaultInitialization(),
        normalize_weights=True,
    )
    start: dict[str, torch.Tensor] = {}

    class Keep(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            start.update({name: values.clone() for name, values in pl_module.student.named_parameters()})

    fit(module, make_data(), callbacks=[Keep()])
    moved = {name for name, values in module.student.named_parameters() if not torch.equal(values, start[name])}
    assert moved == {"layers.1.weight", "layers.1.bias", "norms.1.weight", "norms.1.bias"}


def test_another_dimension_than_a_conditioned_teachers(fit: Any) -> None:
    data = make_data(dim=DIM - 1)
    with pytest.raises(InputError, match=r"data.init_args.dim = 5, but .*input_dim = 6"):
        fit(make_module(condition_teacher=True), data)


def test_data_of_another_base_class_is_refused(fit: Any) -> None:
    class Other(pl.LightningDataModule):
        def train_dataloader(self) -> list[torch.Tensor]:
            return [torch.zeros(1, 1, 2, DIM)]

        val_dataloader = train_dataloader

    with pytest.raises(InputError, match=r"data is a Other: expected a tsl.data.DataModule.* Derive your"):
        fit(make_module(), Other())


def test_batch_norm_of_one_sample_is_refused_before_training(fit: Any) -> None:
    module = make_module(student=LikeTeacher(multiplier=2, batch_norm="after"))
    with pytest.raises(InputError, match=r"data.init_args.batch_size = 1: BatchNorm needs"):
        fit(module, make_data(batch_size=1), max_steps=0)


def test_a_slope_above_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"negative_slope = 1.5: expected a slope from 0 to 1"):
        MLP(1, input_dim=2, widths=[2], output_dim=1, negative_slope=1.5)


def test_an_adversarial_start_from_a_perturbed_teacher(fit: Callable[..., pl.Trainer]) -> None:
    start = AdversarialInitialization(PerturbedTeacher(noise=0.0), strength=1e-9)
    module = make_module(student_initialization=start, trained_layers=[2], replicates=2)
    fit(module, make_data(replicates=2), max_steps=0)
    teacher = module.teacher.layers[0].weight
    torch.testing.assert_close(module.student.layers[0].weight[:, : teacher.shape[1]], teacher, rtol=0, atol=1e-8)


def test_replicates_are_conditioned_on_their_own_number_of_inputs(fit: Any) -> None:
    many = make_module(replicates=2, condition_teacher=True)
    fit(many, make_data(replicates=2, train_size=[16, 300]), max_steps=0)
    for r, size in enumerate([16, 300]):
        alone = make_module(seed=r, condition_teacher=True)
        fit(alone, make_data(seed=r, train_size=size), max_steps=0)
        for layer, of_alone in zip(many.teacher.layers, alone.teacher.layers, strict=True):
            torch.testing.assert_close(layer.bias[r], of_alone.bias[0], rtol=0, atol=1e-12)


def test_observation_is_of_active_regions_where_batch_norm_follows_the_activation(fit: Any, tmp_path: Any) -> None:
    from tsl.callbacks import SpecializationRecords
    from tsl.metrics.functional import boundary_observation, observed
    from tsl.runs.records import read_table

    teacher = partial(MLP, input_dim=DIM, widths=[4], output_dim=OUTPUTS, batch_norm="after")
    module, seen = make_module(teacher=teacher, teacher_initialization=AllButOneAlwaysActive()), []

    class Keep(pl.Callback):
        def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *args: Any) -> None:
            seen.append((outputs.teacher.pre[0], outputs.student.pre[0]))

    fit(module, make_data(eval_batch_size=1000), callbacks=[SpecializationRecords(), Keep()])
    of_pre = observed(boundary_observation(*seen[-1]))[0].tolist()
    assert read_table(tmp_path, "teacher_nodes")["observed"].tolist() == of_pre
    assert of_pre[0] is False  # active everywhere: nothing to see


class AllButOneAlwaysActive(DefaultInitialization):
    """Node 1 is active on all inputs, so its hyperplane is out of sight; BatchNorm after it makes it often negative."""

    def __call__(self, network: MLP, generators: Any, teacher: MLP | None = None) -> None:
        super().__call__(network, generators, teacher)
        with torch.no_grad():
            network.layers[0].bias[:, 0] = 100.0  # type: ignore[index]
            network.norms[0].running_mean[:, 0] = 100.0
