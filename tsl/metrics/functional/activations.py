"""Checks of a layer's activations, and the conversion of a convolution's output to samples and nodes."""

from torch import Tensor


def positions_as_samples(activations: Tensor) -> Tensor:
    """Count every position of a convolution's output as a sample, its channels as the nodes.

    Args:
        activations: `[B, C, H, W]`, or `[R, B, C, H, W]` with a replicate axis.

    Returns:
        `[B·H·W, C]`, or `[R, B·H·W, C]`.

    Raises:
        ValueError: If there are not 4 or 5 axes.

    Source: the paper's experiments on CIFAR-10 (Tian, ICML 2020), where a node is a channel.

    Example:
        >>> import torch
        >>> positions_as_samples(torch.zeros(8, 3, 5, 5)).shape
        torch.Size([200, 3])
        >>> positions_as_samples(torch.zeros(2, 8, 3, 5, 5)).shape
        torch.Size([2, 200, 3])
    """
    if activations.ndim not in (4, 5):
        raise ValueError(
            "expected the output of a convolution, [B, C, H, W] or [R, B, C, H, W], "
            f"got {activations.ndim} axes: {list(activations.shape)}"
        )
    return activations.movedim(-3, -1).flatten(-4, -2)


def check_activations(teacher: Tensor, student: Tensor) -> None:
    """Refuse activations that cannot be compared.

    Args:
        teacher: Floating point, `[..., samples, m]`.
        student: Floating point, `[..., samples, n]`, the same samples and leading axes.

    Raises:
        ValueError: If their shapes or types are not as described.
    """
    for name, activations in (("teacher", teacher), ("student", student)):
        if activations.ndim < 2:
            raise ValueError(f"expected {name} activations [..., samples, nodes], got {list(activations.shape)}")
        if not activations.is_floating_point():
            raise ValueError(f"expected floating-point {name} activations, got {activations.dtype}")
    if teacher.shape[:-1] != student.shape[:-1]:
        raise ValueError(
            "expected teacher and student activations of the same samples, [..., samples, nodes], "
            f"got teacher {list(teacher.shape)} and student {list(student.shape)}"
        )


def check_finite(**sides: Tensor) -> None:
    """Refuse activations that are not finite, because no measure of them has a meaning.

    Args:
        sides: Activations by the network they come from: `teacher`, `student`.

    Raises:
        ValueError: If any is NaN or infinite; the message names the network and the number of such values.
    """
    for side, activations in sides.items():
        if activations.sum().isfinite():  # a cheap first test: the sum of finite values may overflow
            continue
        bad = int((~activations.isfinite()).sum())
        if bad:
            raise ValueError(
                f"expected finite {side} activations, got {bad} NaN or infinite values among {activations.numel()}"
            )


def check_samples(measure: str, needed: int, got: int) -> None:
    """Refuse too few samples.

    Raises:
        ValueError: If `measure` needs more samples than it got.
    """
    if got < needed:
        raise ValueError(f"{measure} needs at least {needed} samples, got {got}")
