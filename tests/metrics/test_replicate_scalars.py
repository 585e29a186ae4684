"""What is logged of a quantity of which every replicate has one."""

import pytest
import torch

from tsl.metrics.replicates import replicate_scalars
from tsl.replicates import MOST_SETTINGS

VALUES = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)


def test_where_nothing_differs_it_is_the_mean_over_all_and_their_spread() -> None:
    expected = {"loss": 3.75, "loss_std": pytest.approx((VALUES - 3.75).square().sum().div(3).sqrt().item())}
    for groups in (None, {}, {"": [0, 1, 2, 3]}):
        scalars = replicate_scalars("loss", VALUES, groups)
        assert {name: value.item() for name, value in scalars.items()} == expected
    assert list(replicate_scalars("loss", torch.tensor([2.0]))) == ["loss"]


def test_each_setting_has_a_series_and_no_name_is_of_all() -> None:
    scalars = replicate_scalars("loss", VALUES, {"p=0": [0, 2], "p=1": [1, 3]})
    assert {name: value.item() for name, value in scalars.items()} == {
        "loss/p=0": 2.5,
        "loss_std/p=0": pytest.approx(4.5**0.5),
        "loss/p=1": 5.0,
        "loss_std/p=1": pytest.approx(18**0.5),
    }


def test_of_too_many_settings_there_is_a_mean_that_says_so() -> None:
    values = torch.arange(MOST_SETTINGS + 1.0)
    groups = {f"p={number}": [number] for number in range(MOST_SETTINGS + 1)}
    assert {name: value.item() for name, value in replicate_scalars("loss", values, groups).items()} == {
        "loss/mean_over_settings": MOST_SETTINGS / 2
    }
    del groups["p=0"]
    assert list(replicate_scalars("loss", values, groups)) == [f"loss/{label}" for label in groups]
