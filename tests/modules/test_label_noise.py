from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from tests.conftest import make_data, make_module
from tsl.errors import InputError
from tsl.modules.label_noise import LabelNoise

Fit = Callable[..., pl.Trainer]


def zeros(steps: int, replicates: int = 2, samples: int = 4, outputs: int = 3) -> Tensor:
    return torch.zeros(steps, replicates, samples, outputs, dtype=torch.float64)


def test_each_replicate_has_its_own_standard_deviation() -> None:
    noise = LabelNoise([0.5, 2.0], seed=0)(zeros(200, samples=50), first_step=0)
    assert noise.std(dim=(0, 2, 3)).tolist() == pytest.approx([0.5, 2.0], rel=0.02)
    assert noise.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=0.05)
    assert len(noise.unique()) == noise.numel()


def test_the_noise_of_a_step_is_the_same_in_any_chunk_and_any_company() -> None:
    whole = LabelNoise([1.0, 1.0], seed=3)(zeros(150), first_step=0)
    again = LabelNoise([1.0, 1.0], seed=3)
    parts = [again(zeros(steps), first) for first, steps in ((0, 7), (7, 100), (107, 43))]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(LabelNoise([1.0], seed=4)(zeros(40, replicates=1), first_step=50)[:, 0], whole[50:90, 1])


def test_processes_share_the_noise_of_one() -> None:
    whole = LabelNoise([1.0, 1.0], seed=3)(zeros(5), first_step=60)
    for rank in range(2):
        share = LabelNoise([1.0, 1.0], seed=3)(zeros(5, samples=2), 60, rank, world_size=2)
        assert torch.equal(share, whole[:, :, rank::2])


def steps_of(fit: Fit, noise: Any, **settings: Any) -> tuple[pl.Trainer, Any, list[Tensor]]:
    """Train, and keep what each step had for a target and what the clean teacher says."""
    module, differences = make_module(noise=noise, replicates=2), []
    take_steps = module.take_steps

    def watched(inputs: Tensor, targets: Tensor, index: Tensor) -> None:
        of_steps = (targets - module.teacher(inputs)).unflatten(1, (index.shape[1], -1))  # [R, K, B, outputs]
        differences.extend(of_steps.unbind(dim=1))
        take_steps(inputs, targets, index)

    module.take_steps = watched  # type: ignore[method-assign]
    trainer = fit(module, make_data(replicates=2, chunk_size=5), **settings)
    return trainer, module, differences


def test_noise_is_on_training_targets_alone_and_goes_on_when_resumed(fit: Fit, tmp_path: Path) -> None:
    _, module, whole = steps_of(fit, [0.0, 0.3], max_epochs=2)
    first, *_ = steps_of(fit, [0.0, 0.3], max_epochs=1)
    first.save_checkpoint(tmp_path / "half.ckpt")
    *_, rest = steps_of(fit, [0.0, 0.3], max_epochs=2, ckpt_path=tmp_path / "half.ckpt")
    assert len(whole) == 24
    assert len(rest) == 12
    torch.testing.assert_close(torch.stack(rest), torch.stack(whole[12:]), rtol=0, atol=1e-12)
    size = torch.stack(whole).std(dim=(0, 2, 3))
    assert size[0] < 1e-14
    assert size[1] == pytest.approx(0.3, rel=0.15)
    inputs = torch.randn(2, 5, 6, dtype=torch.float64)
    module.activations_wanted = True
    assert torch.equal(module.validation_step(inputs, 0).teacher.output, module.teacher(inputs))


def test_a_list_that_does_not_fit_the_replicates_is_refused() -> None:
    with pytest.raises(InputError, match=r"model.init_args.noise lists 2 values for 3 replicates"):
        make_module(noise=[0.1, 0.2], replicates=3)
