"""Small convolutional students of convolutional teachers."""

from functools import partial
from typing import Any

import torch

from tsl.modules import TeacherStudent, mse
from tsl.networks import ConvNet, DefaultInitialization, LikeTeacher

SHAPE = [2, 8, 8]


def image_module(**settings: Any) -> TeacherStudent:
    network = partial(ConvNet, input_shape=SHAPE, widths=[3, 4], output_dim=3, batch_norm="after")
    defaults: dict[str, Any] = {
        "teacher": network,
        "teacher_initialization": DefaultInitialization(),
        "student_initialization": DefaultInitialization(),
        "student": LikeTeacher(multiplier=2),
        "loss": mse,
        "optimizer": partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    }
    return TeacherStudent(**(defaults | settings))
