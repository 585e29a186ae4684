"""Objectives of a student: functions of its outputs and the teacher's with one loss for each replicate.

A config can name any function of this form by its import path, and any class with such a `__call__` by class_path.
"""

import inspect
from typing import Any

import torch
from jsonargparse.typing import PositiveFloat
from torch import Tensor
from torch.nn.functional import mse_loss


def half_squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """½ ‖f°(x) − f(x)‖², summed over outputs and averaged over samples: the paper's two-layer objective.

    Args:
        student: Student outputs f(x), `[R, B, outputs]`.
        teacher: Teacher outputs f°(x), `[R, B, outputs]`.

    Returns:
        One loss for each replicate, `[R]`.
    """
    return mse_loss(student, teacher, reduction="none").sum(dim=(-2, -1)) * (0.5 / student.shape[-2])


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """(f°(x) − f(x))², averaged over samples and outputs.

    Args:
        student: Student outputs f(x), `[R, B, outputs]`.
        teacher: Teacher outputs f°(x), `[R, B, outputs]`.

    Returns:
        One loss for each replicate, `[R]`.
    """
    return mse_loss(student, teacher, reduction="none").mean(dim=(-2, -1))


def cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """−log of the probability that the student gives the teacher's most likely class, averaged over samples.

    Args:
        student: Student logits, `[R, B, classes]`.
        teacher: Teacher logits, `[R, B, classes]`.

    Returns:
        One loss for each replicate, `[R]`, in nats.
    """
    return label_cross_entropy(student, teacher.argmax(dim=-1))


def label_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log of the probability given to the labels, averaged over samples: the objective of a classifier.

    Args:
        logits: `[R, B, classes]`.
        labels: Classes counted from 0, int64, `[R, B]`.

    Returns:
        One loss for each replicate, `[R]`, in nats.
    """
    return -logits.log_softmax(dim=-1).gather(-1, labels.unsqueeze(-1)).mean(dim=(-2, -1))


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The fraction of samples whose label has the largest logit, one for each replicate, `[R]` float64.

    Args:
        logits: `[R, B, classes]`.
        labels: Classes counted from 0, int64, `[R, B]`.
    """
    return (logits.argmax(dim=-1) == labels).double().mean(dim=-1)


def of_mse(loss: Any, outputs: int) -> float | None:
    """The factor by which a loss is a multiple of the mean squared error; None if it is not a multiple.

    Args:
        loss: An objective.
        outputs: Outputs of the networks.

    >>> of_mse(half_squared_error, 50), of_mse(cross_entropy, 50)
    (25.0, None)
    """
    return {mse: 1.0, half_squared_error: outputs / 2}.get(loss) if inspect.isfunction(loss) else None


class KL:
    """T² · KL(teacher ‖ student) of the class probabilities softmax(logits / T), averaged over samples: distillation.

    The factor T² keeps the size of the gradient, which would otherwise shrink as 1/T² (Hinton, Vinyals & Dean 2015,
    arXiv 1503.02531, section 2).

    Args:
        temperature: T; 1 is the plain divergence. As T goes to infinity, the loss becomes half the squared distance of
            the centred logits divided by the number of classes.
    """

    def __init__(self, temperature: PositiveFloat = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The divergence in nats, one for each replicate, `[R]`, of logits `[R, B, classes]`."""
        log_p, log_q = ((logits / self.temperature).log_softmax(dim=-1) for logits in (teacher, student))
        divergence = torch.sum(log_p.exp() * (log_p - log_q), dim=-1)  # [R, B]
        return self.temperature**2 * divergence.mean(dim=-1)
