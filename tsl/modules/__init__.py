"""LightningModules: training a student on a teacher's outputs."""

from tsl.modules.losses import half_squared_error, mse
from tsl.modules.teacher_student import TeacherStudent

__all__ = ["TeacherStudent", "half_squared_error", "mse"]
