from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from tests.conftest import DIM, make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.callbacks.overlap_records import check_overlaps, exact_losses, why_no_exact_loss
from tsl.data import Rademacher, StudentT, SyntheticDataModule
from tsl.errors import InputError
from tsl.modules import TeacherStudent
from tsl.networks import MLP, CommitteeInitialization, ConvNet
from tsl.runs.records import read_table

Fit = Callable[..., pl.Trainer]


def committee(**settings: Any) -> TeacherStudent:
    plain = {"input_dim": DIM, "widths": [2], "output_dim": 1, "bias": False, "activation": "erf"}
    teacher = partial(MLP, **(plain | settings))
    return make_module(
        teacher=teacher,
        teacher_initialization=CommitteeInitialization(orthogonal=True),
        student_initialization=CommitteeInitialization(norm=0.5),
        trained_layers=[1],
        replicates=2,
    )


def recorded(fit: Fit, overlaps: Any, module: TeacherStudent | None = None) -> tuple[Path, TeacherStudent]:
    module = module or committee()
    data = make_data(replicates=2, val_size=20_000)
    callback = SpecializationRecords(overlaps=overlaps)
    trainer = fit(module, data, callbacks=[callback], max_epochs=2, num_sanity_val_steps=-1)
    return Path(trainer.log_dir), module


def test_overlaps_are_the_products_of_weights_at_the_time_of_the_record(fit: Fit) -> None:
    run, module = recorded(fit, True)
    overlaps = read_table(run, "overlaps")
    assert overlaps.groupby("epoch")["alpha"].first().tolist() == [0, 10, 20]  # 12 steps of 5 samples, 6 inputs
    assert set(overlaps["normalization"]) == {"fields"}
    last = overlaps[overlaps["epoch"] == 2].set_index(["matrix", "replicate", "row", "column"])["value"]
    student, teacher = (network.layers[0].weight.detach().numpy() for network in (module.student, module.teacher))
    for name, left, right in (("Q", student, student), ("R", student, teacher), ("T", teacher, teacher)):
        for r, i, k in np.ndindex(2, left.shape[1], right.shape[1]):
            assert last[name, r, i + 1, k + 1] == pytest.approx(1.5**2 * left[r, i] @ right[r, k], rel=1e-12)
    readouts = read_table(run, "output_weights")
    assert (readouts["value"] == 1).all()
    assert readouts.groupby(["epoch", "network"]).size().tolist() == 3 * [8, 4]


@pytest.mark.parametrize(("overlaps", "scale"), [("dimension", 1 / DIM), ("none", 1.0)])
def test_other_normalizations(fit: Fit, overlaps: str, scale: float) -> None:
    frame = read_table(recorded(fit, overlaps)[0], "overlaps")
    of_teacher = frame[(frame["matrix"] == "T") & (frame["row"] == frame["column"])]
    assert np.allclose(of_teacher["value"], scale)
    assert set(frame["normalization"]) == {overlaps}


def test_the_population_loss_is_recorded_and_near_that_of_many_inputs(fit: Fit) -> None:
    losses = read_table(recorded(fit, False)[0], "losses")
    exact, sampled = losses["population_loss"].to_numpy(), losses["val_loss"].to_numpy()
    assert np.abs(exact / sampled - 1).max() < 0.05


def test_a_run_with_overlaps_says_once_why_it_has_no_population_loss(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(fit, True, committee(bias=True))
    assert capsys.readouterr().out.count("population_loss is not recorded: the teacher has biases") == 1


def test_without_overlaps_or_a_closed_form_nothing_more_is_recorded(fit: Fit) -> None:
    run, _ = recorded(fit, False, committee(activation="tanh"))
    assert not (run / "records" / "overlaps").exists()
    assert "population_loss" not in read_table(run, "losses")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"bias": True}, "the teacher has biases: set model.init_args.teacher.init_args.bias to false"),
        ({"batch_norm": "after"}, "the teacher has BatchNorm"),
        ({"widths": [2, 2]}, "the teacher is no MLP of one hidden layer"),
        ({"activation": "sigmoid"}, "expected erf for student and teacher"),
    ],
)
def test_the_population_loss_of_other_networks_is_not_defined(settings: dict[str, Any], reason: str) -> None:
    module = committee(**settings)
    if "widths" in settings:
        module.teacher_initialization = module.student_initialization = make_module().student_initialization
    module.make_networks()
    assert exact_losses(module, make_data()) == {}
    assert str(why_no_exact_loss(module, make_data())).startswith(reason)


def test_the_population_loss_of_other_inputs_is_not_defined() -> None:
    module = committee()
    module.make_networks()
    data = SyntheticDataModule(Rademacher(), dim=DIM, train_size=20, val_size=10)
    assert exact_losses(module, data) == {}
    assert why_no_exact_loss(module, data) == "the evaluation inputs are Rademacher, and not tsl.data.Gaussian"
    assert why_no_exact_loss(module, make_data()) is None
    assert exact_losses(module, make_data())["population_loss"].shape == (2,)


def test_inputs_without_a_standard_deviation_and_convolutions_are_refused(fit: Fit) -> None:
    data = SyntheticDataModule(StudentT(1.0, scale=1.0), dim=DIM, train_size=50, val_size=10, replicates=2)
    with pytest.raises(InputError, match="need the inputs' standard deviation"):
        fit(committee(), data, callbacks=[SpecializationRecords(overlaps=True)])
    fit(committee(), data, callbacks=[SpecializationRecords(overlaps="dimension")], max_steps=1)
    convnet = partial(ConvNet, input_shape=[1, 2, 3], widths=[2], output_dim=1, kernel_size=1)
    module = make_module(teacher=convnet, teacher_initialization=make_module().student_initialization)
    data = SyntheticDataModule(Rademacher(), dim=DIM, train_size=20, val_size=10)
    module.make_networks()
    with pytest.raises(InputError, match=r"records.overlaps is for tsl.networks.MLP, not for ConvNet"):
        check_overlaps(module, data, True)
