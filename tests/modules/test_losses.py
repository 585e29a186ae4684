from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from tsl.modules import KL, cross_entropy, half_squared_error, mse
from tsl.modules.losses import of_mse


def test_losses_equal_the_loop_that_defines_them() -> None:
    student, teacher = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    for r in range(3):
        squares = [
            [(s - t) ** 2 for s, t in zip(*rows, strict=True)] for rows in zip(student[r], teacher[r], strict=True)
        ]
        np.testing.assert_allclose(half_squared_error(student, teacher)[r], sum(map(sum, squares)) / 2 / 5, rtol=1e-12)
        np.testing.assert_allclose(mse(student, teacher)[r], sum(map(sum, squares)) / 5 / 4, rtol=1e-12)


def test_cross_entropy_is_against_the_teachers_most_likely_class() -> None:
    student, teacher = 3 * torch.randn(2, 3, 5, 4, dtype=torch.float64)
    for r in range(3):
        probabilities = softmax(student[r].numpy(), axis=1)
        surprise = [-np.log(probabilities[b, np.argmax(teacher[r, b].numpy())]) for b in range(5)]
        np.testing.assert_allclose(cross_entropy(student, teacher)[r], np.mean(surprise), rtol=1e-12)


def test_kl_equals_scipys_relative_entropy_times_the_squared_temperature() -> None:
    student, teacher = 3 * torch.randn(2, 3, 5, 4, dtype=torch.float64)
    for temperature in (1.0, 4.0):
        p, q = (softmax(logits.numpy() / temperature, axis=-1) for logits in (teacher, student))
        expected = temperature**2 * rel_entr(p, q).sum(axis=-1).mean(axis=-1)
        np.testing.assert_allclose(KL(temperature)(student, teacher), expected, rtol=1e-12)


def test_a_hot_kl_is_the_squared_distance_of_centred_logits() -> None:
    student, teacher = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    difference = (student - student.mean(dim=-1, keepdim=True)) - (teacher - teacher.mean(dim=-1, keepdim=True))
    limit = difference.square().mean(dim=(1, 2)) / 2
    np.testing.assert_allclose(KL(1e4)(student, teacher), limit, rtol=1e-3)


def test_logits_far_apart_stay_finite() -> None:
    student = torch.tensor([[[1e4, -1e4]]])
    for loss, expected in ((cross_entropy, 2e4), (KL(), 2e4)):
        torch.testing.assert_close(loss(student, -student), torch.tensor([expected]))


@pytest.mark.parametrize("loss", [mse, half_squared_error, cross_entropy, KL()])
def test_what_a_loss_is_of_the_mean_squared_error(loss: Any) -> None:
    student, teacher = torch.randn(2, 3, 10, 4, dtype=torch.float64)
    factor = of_mse(loss, 4)
    assert (factor is None) == (loss not in (mse, half_squared_error))
    if factor is not None:
        torch.testing.assert_close(loss(student, teacher), factor * (student - teacher).square().mean(dim=(1, 2)))
