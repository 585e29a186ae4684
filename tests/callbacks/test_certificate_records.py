from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from tests.conftest import make_data, make_module
from tsl.callbacks import CertificateRecords
from tsl.callbacks.certificate_records import CertificateMeasures, certificate_frame, two_layer_weights
from tsl.errors import InputError
from tsl.metrics.functional import boundary_observation
from tsl.modules.teacher_student import Observation
from tsl.networks import MLP, LikeTeacher
from tsl.runs.records import COLUMNS, read_table
from tsl.theory.certificate import certificate

Fit = Callable[..., pl.Trainer]


def records(fit: Fit, tmp_path: Path, callback: CertificateRecords, **settings: Any) -> pd.DataFrame:
    data = make_data(evaluate_train=True, eval_batch_size=7, **settings)
    trainer = fit(make_module(**settings), data, callbacks=[callback], num_sanity_val_steps=-1, max_epochs=2)
    return read_table(trainer.log_dir or tmp_path, "certificate")


def test_records_are_the_certificate_over_all_training_inputs(fit: Fit, tmp_path: Path) -> None:
    module, data = make_module(replicates=2), make_data(replicates=2, evaluate_train=True, eval_batch_size=7)
    seen: list[torch.Tensor] = []

    class KeepInputs(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(data.train_samples(0).inputs)

    callbacks = [CertificateRecords(c=2.0, bias_scale=3.0), KeepInputs()]
    fit(module, data, callbacks=callbacks, num_sanity_val_steps=-1)
    frame = read_table(tmp_path, "certificate")
    assert list(frame) == list(COLUMNS["certificate"])
    assert frame[["epoch", "replicate", "node"]].apply(tuple, axis=1).tolist() == [
        (epoch, replicate, node) for epoch in (0, 1) for replicate in (0, 1) for node in (1, 2, 3, 4)
    ]

    [inputs] = seen
    teacher, student = module.teacher.activations(inputs), module.student.activations(inputs)
    loss = 0.5 * (teacher.output - student.output).square().sum()  # a sum: each sample keeps its own gradient
    [gradient] = torch.autograd.grad(loss, student.pre[0])
    expected = certificate(
        two_layer_weights(module.teacher),
        two_layer_weights(module.student),
        boundary_observation(teacher.post[0], student.post[0]),
        gradient.abs().flatten(1).amax(dim=1),
        c=2.0,
        bias_scale=3.0,
    )
    last = frame[frame["epoch"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(last, certificate_frame(expected, epoch=1)[list(last)], rtol=1e-9)


def test_a_replicate_is_certified_as_it_would_be_alone(fit: Fit, tmp_path: Path) -> None:
    pair = records(fit, tmp_path, CertificateRecords(), replicates=2, seed=3)
    alone = records(fit, tmp_path, CertificateRecords(), replicates=1, seed=4)
    second = pair[pair["replicate"] == 1].reset_index(drop=True).assign(replicate=0)
    pd.testing.assert_frame_equal(second, alone, rtol=1e-6)


def test_before_training_the_theorem_says_nothing(fit: Fit, tmp_path: Path) -> None:
    frame = records(fit, tmp_path, CertificateRecords(), replicates=3)
    untrained = frame[frame["epoch"] == 0]
    assert (untrained["observed"] & untrained["vacuous"] & ~untrained["condition"]).all()
    assert (untrained["granted_epsilon"] > 1).all()


def test_the_permuted_and_positively_rescaled_teacher_is_certified() -> None:
    module = make_module(replicates=2, seed=1)
    module.make_networks()
    module.double()
    (m,), scale = module.teacher.widths, torch.tensor([0.2, 1.0, 3.0, 50.0], dtype=torch.float64)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(0))
    (hidden, output), (hidden_t, output_t) = module.student.layers, module.teacher.layers
    with torch.no_grad():
        for layer in module.student.layers:
            layer.weight.zero_()
            layer.bias.zero_()
        hidden.weight[:, :m] = hidden_t.weight[:, order] * scale[:, None]
        hidden.bias[:, :m] = hidden_t.bias[:, order] * scale
        output.weight[..., :m] = output_t.weight[..., order] / scale
        output.bias.copy_(output_t.bias)
        measures = CertificateMeasures(module)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            inputs = torch.randn(2, 50, 6, dtype=torch.float64, generator=generator)
            measures.update(
                module.student, Observation(*(n.activations(inputs) for n in (module.teacher, module.student)))
            )
    result = measures.certificate(module, c=5.0, bias_scale=1.0)
    assert result.gradient_sup_norm.max() < 1e-12
    assert result.reached_epsilon.max() < 1e-15
    assert (result.condition & result.conclusion).all()
    assert torch.equal(order[result.best_aligned_student], torch.arange(m).expand(2, -1))


def test_one_node_and_one_replicate_keep_their_axes(fit: Fit, tmp_path: Path) -> None:
    module = make_module(widths=[1], student=LikeTeacher())
    fit(module, make_data(evaluate_train=True), callbacks=[CertificateRecords()])
    assert len(read_table(tmp_path, "certificate")) == 1


def test_it_says_that_it_needs_the_training_inputs(fit: Fit) -> None:
    with pytest.raises(InputError, match=r"of the training inputs: set data\.init_args\.evaluate_train to true"):
        fit(make_module(), make_data(), callbacks=[CertificateRecords()])


def test_it_refuses_deeper_networks(fit: Fit) -> None:
    with pytest.raises(InputError, match=r"two-layer theorem: expected one hidden layer, but the teacher has widths"):
        fit(make_module(widths=[4, 6]), make_data(evaluate_train=True), callbacks=[CertificateRecords()])


def test_a_network_without_biases_has_zero_biases() -> None:
    module = make_module(teacher=partial(MLP, input_dim=6, widths=[4], output_dim=3, bias=False))
    module.make_networks()
    assert torch.equal(two_layer_weights(module.student).bias, torch.zeros(1, 8))


@pytest.mark.parametrize("activation", ["erf", "linear"])
@pytest.mark.parametrize("name", ["teacher", "student"])
def test_another_activation_is_refused(fit: Fit, name: str, activation: str) -> None:
    networks = {"teacher": partial(MLP, input_dim=6, widths=[4], output_dim=3)}
    networks[name] = partial(MLP, input_dim=6, widths=[4], output_dim=3, activation=activation)
    if name == "teacher":  # and a student like it
        networks["student"] = networks["teacher"]
    with pytest.raises(InputError, match=rf"needs .*ReLU, .* but the {name} has the activation {activation}"):
        fit(make_module(**networks), make_data(evaluate_train=True), callbacks=[CertificateRecords()])
