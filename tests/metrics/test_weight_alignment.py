import math

import pytest
import torch
from torch import Tensor

from tsl.metrics.functional import weight_alignment


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_against_the_definition_by_a_loop() -> None:
    W, b, V, c = normal(2, 3, 5), normal(2, 3), normal(2, 7, 5, seed=1), normal(2, 7, seed=2)
    result = weight_alignment(W, b, V, c, M=2.0)
    assert result.sine.shape == result.bias_gap.shape == result.epsilon.shape == (2, 3, 7)
    for r in range(2):
        for j in range(3):
            for k in range(7):
                w, v = W[r, j], V[r, k]
                cosine = (w @ v / w.norm() / v.norm()).item()
                sine = math.sin(math.acos(cosine)) if cosine > 0 else 1.0
                gap = abs(b[r, j] / w.norm() - c[r, k] / v.norm()).item()
                assert result.sine[r, j, k].item() == pytest.approx(sine, abs=1e-12)
                assert result.bias_gap[r, j, k].item() == pytest.approx(gap, abs=1e-12)
                assert result.epsilon[r, j, k].item() == pytest.approx(max(sine, gap / 2), abs=1e-12)


def test_the_permuted_positively_rescaled_teacher_aligns_at_zero() -> None:
    W, b = normal(4, 6), normal(4)
    scale = torch.tensor([0.01, 2.0, 300.0, 1.0], dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    result = weight_alignment(W, b, (W * scale[:, None])[order], (b * scale)[order])
    assert result.epsilon[order, torch.arange(4)].max() < 1e-15
    assert (weight_alignment(W, b, W, b).epsilon.diagonal() == 0).all()
    assert (result.epsilon.amin(dim=0) == result.epsilon[order, torch.arange(4)]).all()


@pytest.mark.parametrize("angle", [1e-14, 1e-12, 1e-9, 1e-5, 0.3])
def test_tiny_angles_are_right_to_rounding(angle: float) -> None:
    """1 − cos² would be 0 for all angles below 1e-8."""
    w = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    assert weight_alignment(w, zero, 5 * v, zero).sine.item() == pytest.approx(math.sin(angle), rel=1e-6, abs=1e-16)


def test_opposite_and_orthogonal_directions_are_not_aligned() -> None:
    w, zero = torch.eye(2, dtype=torch.float64)[:1], torch.zeros(1, dtype=torch.float64)
    for v in ([-1.0, 0.0], [-1.0, 1e-9], [0.0, 1.0], [-1e-9, 1.0]):
        assert weight_alignment(w, zero, torch.tensor([v], dtype=torch.float64), zero).sine.item() == 1


def test_a_node_without_weights_is_aligned_with_nothing() -> None:
    W = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    b = torch.zeros(2)
    result = weight_alignment(W, b, W, b)
    assert result.sine.tolist() == [[0, 1], [1, 1]]
    assert result.bias_gap.tolist() == result.epsilon.tolist() == [[0, math.inf], [math.inf, math.inf]]


def test_rotating_the_inputs_does_not_matter_a_scale_of_one_input_does() -> None:
    W, b, V, c = normal(3, 5), normal(3), normal(4, 5, seed=1), normal(4, seed=2)
    rotation = torch.linalg.qr(normal(5, 5, seed=3)).Q
    result = weight_alignment(W, b, V, c)
    torch.testing.assert_close(weight_alignment(W @ rotation, b, V @ rotation, c).epsilon, result.epsilon)
    stretch = torch.tensor([9.0, 1, 1, 1, 1], dtype=torch.float64)
    assert not torch.allclose(weight_alignment(W * stretch, b, V * stretch, c).sine, result.sine)


def test_bad_arguments_are_named() -> None:
    W, b = torch.ones(1, 2), torch.ones(1)
    with pytest.raises(ValueError, match=r"expected M to be positive, got 0"):
        weight_alignment(W, b, W, b, M=0)
    with pytest.raises(ValueError, match=r"of the same inputs, .* got teacher \[1, 2\] and student \[1, 3\]"):
        weight_alignment(W, b, torch.ones(1, 3), b)
