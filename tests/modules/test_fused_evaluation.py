"""Compiled evaluations against torch's: the records of the same students, evaluated with `steps` eager and auto."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import DIM, OUTPUTS, make_data, make_module
from tsl.callbacks import SpecializationRecords
from tsl.metrics import LinearCKA
from tsl.modules import KL, cross_entropy, half_squared_error, mse
from tsl.networks import MLP, GaussianInitialization
from tsl.runs.records import read_table

TABLES = ("losses", "teacher_nodes", "student_nodes", "layers", "pairs")


def records(steps: str, data: dict[str, Any], precision: str = "64-true", **model: Any) -> dict[str, pd.DataFrame]:
    """The tables of students that were never trained: their learning rate is 0."""
    module = make_module(steps=steps, optimizer=partial(torch.optim.SGD, lr=0.0), **model)
    with TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=precision,  # type: ignore[arg-type]
            max_epochs=1,
            num_sanity_val_steps=0,
            logger=CSVLogger(folder, "run", "version_0"),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            callbacks=[SpecializationRecords(pairs=True)],
        )
        trainer.fit(module, datamodule=make_data(steps_per_epoch=1, **data))
        return {table: read_table(Path(folder) / "run/version_0", table) for table in TABLES}


def assert_same(ours: dict[str, pd.DataFrame], its: dict[str, pd.DataFrame], tolerance: float) -> None:
    """Equal but for which of several equally correlated nodes is called the best; `pairs` has all of them."""
    for table in TABLES:
        exact = tolerance if table == "losses" else tolerance * 10
        frames = [each[table].drop(columns=["best_student", "best_teacher"], errors="ignore") for each in (ours, its)]
        pd.testing.assert_frame_equal(*frames, rtol=exact, atol=exact)


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=2),
    activation=st.sampled_from(["relu", "erf", "tanh", "sigmoid", "quadratic", "linear"]),
    bias=st.booleans(),
    loss=st.sampled_from([half_squared_error, mse, cross_entropy, KL(2.0)]),
    val_size=st.sampled_from([20, 127, 128, 300]),
    eval_batch_size=st.sampled_from([50, 200, None]),
    precision=st.sampled_from(["64-true", "32-true"]),
    replicates=st.integers(1, 3),
)
def test_as_torch(
    widths: list[int], activation: str, bias: bool, loss: Any, val_size: int, eval_batch_size: int | None,
    precision: str, replicates: int,
) -> None:  # fmt: skip
    network = partial(MLP, input_dim=DIM, output_dim=OUTPUTS, widths=widths, activation=activation, bias=bias)
    model = {"teacher": network, "teacher_initialization": GaussianInitialization(0.5), "loss": loss}
    data = {"val_size": val_size, "eval_batch_size": eval_batch_size, "replicates": replicates}
    ours, its = (records(steps, data, precision, replicates=replicates, **model) for steps in ("auto", "eager"))
    assert_same(ours, its, 1e-9 if precision == "64-true" else 2e-5)


def test_correlations_of_float32_activations_are_within_a_millionth() -> None:
    """Against the same weights and inputs in float64, over more inputs than a block."""
    from tsl.metrics.functional import node_correlation
    from tsl.modules.compiled.fused_evaluation import FusedEvaluation

    torch.manual_seed(0)
    network = MLP(2, input_dim=30, widths=[40], output_dim=5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    teacher = network.with_widths([7])
    for parameter in teacher.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    inputs, order = 5 + torch.randn(2, 3000, 30), torch.randperm(3000)
    with torch.no_grad():
        _, sums = FusedEvaluation(network, mse)(inputs, teacher.activations(inputs), order)
        t, s = (each.double().activations(inputs.double()).post[0] for each in (teacher, network))
    from tsl.metrics.functional.node_correlation import node_correlation_from_moments

    both = torch.cat([t, t[:, order]], dim=2)
    assert sums is not None
    assert (node_correlation_from_moments(sums.moments) - node_correlation(both, s)).abs().max() < 1e-6


def test_a_replicate_alone_gives_the_same_bits_on_any_number_of_threads() -> None:
    data = {"val_size": 300, "eval_batch_size": 200}
    torch.set_num_threads(2)
    many = records("auto", data | {"replicates": 3}, replicates=3)
    torch.set_num_threads(1)
    for r in range(3):
        alone = records("auto", data | {"seed": r}, seed=r)
        for table in TABLES:
            mine = many[table].query("replicate == @r").assign(replicate=0).reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone[table], check_exact=True)


def test_what_is_undefined_stays_so() -> None:
    """One input of one replicate is not a number: its losses are not, and the other's are what they were."""
    from tsl.modules.compiled.fused_evaluation import FusedEvaluation

    network = MLP(2, input_dim=4, widths=[6, 5], output_dim=3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    inputs = torch.randn(2, 200, 4)
    with torch.no_grad():
        teacher = network.activations(inputs + 1)
        before, _ = FusedEvaluation(network, mse)(inputs, teacher)
        inputs[1, 150] = torch.nan
        after, _ = FusedEvaluation(network, mse)(inputs, teacher)
    for one, other in zip(before, after, strict=True):
        assert one[0] == other[0]
        assert other[1].isnan()


@pytest.mark.parametrize("alignments", [{}, {"cka": LinearCKA}])
def test_a_measure_of_activations_gets_them(alignments: dict[str, Any], fit: Any, tmp_path: Path) -> None:
    """With a measure that needs activations, all tables are as without it."""
    tables = {}
    for steps in ("auto", "eager"):
        callbacks = [SpecializationRecords(alignments=alignments)]
        logger = CSVLogger(tmp_path, steps, "version_0")
        fit(make_module(steps=steps), make_data(steps_per_epoch=3), callbacks=callbacks, logger=logger)
        tables[steps] = read_table(tmp_path / steps / "version_0", "layers")
    assert ("cka" in tables["auto"]) == bool(alignments)
    for column in tables["auto"].select_dtypes("number"):
        np.testing.assert_allclose(tables["auto"][column], tables["eager"][column], rtol=1e-9)
