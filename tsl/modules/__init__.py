"""LightningModules that train a student on a teacher's outputs, and a teacher on labels."""

from tsl.modules.classifier import Classifier
from tsl.modules.distillation import AttentionTransfer, Distillation, Hint
from tsl.modules.losses import KL, cross_entropy, half_squared_error, mse
from tsl.modules.milestones import Milestones
from tsl.modules.sgd import SGD
from tsl.modules.teacher_of_run import TeacherOfRun
from tsl.modules.teacher_student import TeacherStudent

__all__ = [
    "KL",
    "SGD",
    "AttentionTransfer",
    "Classifier",
    "Distillation",
    "Hint",
    "Milestones",
    "TeacherOfRun",
    "TeacherStudent",
    "cross_entropy",
    "half_squared_error",
    "mse",
]
