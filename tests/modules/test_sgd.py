from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, StepLR

from tests.conftest import make_data, make_module
from tsl.errors import InputError
from tsl.fit import main
from tsl.modules import SGD, Milestones
from tsl.runs.records import read_table

RATES = [0.002, 0.03]
TINY = ["--config", "configs/two_layer.yaml", "--config", "tests/tiny.yaml"]


@pytest.mark.parametrize("steps", ["eager", "fused"])
@pytest.mark.parametrize("schedule", [None, partial(StepLR, step_size=1, gamma=0.3), partial(ExponentialLR, gamma=0.5)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9, "dampening": 0.2},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"weight_decay": 0.1},
    ],
)
def test_each_replicate_trains_as_a_run_of_torchs_sgd_with_its_rate(
    fit: Any, steps: str, schedule: Any, settings: dict[str, Any]
) -> None:
    def trained(optimizer: Any, replicates: int, seed: int) -> list[torch.Tensor]:
        module = make_module(optimizer=optimizer, lr_scheduler=schedule, replicates=replicates, seed=seed, steps=steps)
        data = make_data(replicates=replicates, seed=seed, steps_per_epoch=10)
        fit(module, data, max_epochs=3)
        return [parameter.detach() for parameter in module.student.parameters()]

    many = trained(partial(SGD, lr=RATES, **settings), 4, 0)
    for r in range(4):
        alone = trained(partial(torch.optim.SGD, lr=RATES[r % 2], **settings), 1, r)
        for one, all_of_them in zip(alone, many, strict=True):
            torch.testing.assert_close(all_of_them[r], one[0], rtol=1e-11, atol=1e-13)


def test_one_rate_is_torchs_sgd() -> None:
    ours, its = (torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)) for _ in range(2))
    for parameter, kind in ((ours, SGD), (its, torch.optim.SGD)):
        optimizer = kind([parameter], lr=0.1, momentum=0.9)
        for _ in range(3):
            parameter.grad = parameter.detach() ** 2
            optimizer.step(lambda: 1.0)
    assert torch.equal(ours, its)


def test_a_closure_is_called_once_with_gradients_on() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 1))

    def closure() -> torch.Tensor:
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert SGD([parameter], lr=[0.1, 0.25]).step(closure) == 2
    torch.testing.assert_close(parameter.detach(), torch.tensor([[0.8], [0.5]]))


def test_a_list_that_does_not_divide_the_replicates(fit: Any) -> None:
    with pytest.raises(InputError, match=r"optimizer.init_args.lr lists 2 values for 3 replicates"):
        fit(make_module(optimizer=partial(SGD, lr=RATES), replicates=3), make_data(replicates=3))


@pytest.mark.parametrize(
    "schedule", [partial(Milestones, milestones={0: 0.1}), partial(CosineAnnealingLR, T_max=5, eta_min=0.1)]
)
def test_a_schedule_that_sets_rates_is_refused_over_a_list(fit: Any, schedule: Any) -> None:
    module = make_module(optimizer=partial(SGD, lr=RATES), lr_scheduler=schedule, replicates=2)
    with pytest.raises(InputError, match=r"lr_scheduler = \w+ sets learning rates itself.*choose a schedule"):
        fit(module, make_data(replicates=2))


def test_rates_are_columns_of_the_runs_replicates(tmp_path: Path) -> None:
    rates = ["--model.optimizer", "tsl.modules.SGD", "--model.optimizer.lr", "[0.01, 0.1]"]
    main([*TINY, "--trainer.default_root_dir", str(tmp_path), *rates])
    table = read_table(tmp_path / "tiny/version_0", "replicates")
    assert list(table["model.init_args.optimizer.init_args.lr"]) == [0.01, 0.1]


@pytest.mark.parametrize("optimizer", ["torch.optim.SGD", "torch.optim.Adam"])
def test_a_list_for_another_optimizer_is_refused_with_the_reason(
    optimizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = ["--model.optimizer", optimizer, "--model.optimizer.lr", "[0.01, 0.1]"]
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--trainer.default_root_dir", str(tmp_path), *rates])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"lr = [0.01, 0.1]: {optimizer} takes one learning rate for all replicates" in line
    assert "Set model.init_args.optimizer to tsl.modules.SGD" in line
