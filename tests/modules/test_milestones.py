from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD

from tests.conftest import make_data, make_module
from tsl.data import Chunk
from tsl.errors import InputError
from tsl.modules import Milestones


def rates(milestones: dict[int, float], epochs: int) -> list[float]:
    optimizer = SGD([{"params": [torch.nn.Parameter(torch.zeros(1))]}], lr=123.0)
    schedule = Milestones(optimizer, milestones)
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_each_rate_holds_from_its_epoch_on_whatever_the_optimizers_own() -> None:
    assert rates({0: 0.2}, 3) == [0.2] * 3
    assert rates({0: 0.2, 2: 0.1, 3: 0.7}, 6) == [0.2, 0.2, 0.1, 0.7, 0.7, 0.7]


def test_training_counts_epochs_not_steps_or_chunks(fit: Any) -> None:
    """Two epochs of two chunks at the first rate, all later ones at the second."""
    moves: list[float] = []
    module = make_module(
        optimizer=partial(SGD, lr=1.0), lr_scheduler=partial(Milestones, milestones={0: 1e-3, 2: 1e-5}), loss=slope
    )
    training_step = module.training_step

    def watched(batch: Chunk, batch_idx: int) -> None:
        before = module.student.layers[1].bias.detach().clone()
        training_step(batch, batch_idx)
        moves.append(float((before - module.student.layers[1].bias.detach()).mean() / batch.index.shape[1]))

    module.training_step = watched
    fit(module, make_data(steps_per_epoch=4, chunk_size=2), max_epochs=4)
    np.testing.assert_allclose(moves, [1e-3] * 4 + [1e-5] * 4, rtol=1e-6)


def slope(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """A loss whose gradient is 1 at every output's bias."""
    return student.sum(dim=-1).mean(dim=-1)


@pytest.mark.parametrize("milestones", [{}, {1: 0.1}, {0: 0.1, 20: 0.2, 10: 0.3}, {0: 0.1, 5: 0.0}, {0: -0.1}])
def test_milestones_that_cannot_be_meant(milestones: dict[int, float]) -> None:
    with pytest.raises(InputError, match=r"lr_scheduler\.init_args\.milestones = .* ascending order from 0 on"):
        rates(milestones, 1)


def test_a_restored_schedule_keeps_the_milestones_of_now() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    before, after = Milestones(optimizer, {0: 0.2, 3: 0.1}), Milestones(optimizer, {0: 0.2, 1: 0.5, 3: 0.4})
    for _ in range(2):
        optimizer.step()
        before.step()
    after.load_state_dict(before.state_dict())
    after.step()
    assert optimizer.param_groups[0]["lr"] == 0.4
