"""Draws matplotlib figures of runs: `tsl.figures.l_shape.draw([tsl.runs.Run("runs/two_layer/first")])`.

Each module of a figure of runs has `TABLES`, the tables that it reads, and `draw(runs, …)`, which gives the figure.
"""

from tsl.figures import (
    alignment,
    best_correlation,
    certificate,
    convergence,
    gradient_at_recovery,
    heat_map,
    l_shape,
    l_shape_animation,
    sample_complexity,
    sample_size,
    specialization_order,
    success_rate,
    trained_teacher,
    trajectories,
    universality,
)

__all__ = [
    "alignment",
    "best_correlation",
    "certificate",
    "convergence",
    "gradient_at_recovery",
    "heat_map",
    "l_shape",
    "l_shape_animation",
    "sample_complexity",
    "sample_size",
    "specialization_order",
    "success_rate",
    "trained_teacher",
    "trajectories",
    "universality",
]
