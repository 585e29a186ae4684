"""Draw matplotlib figures of runs: `tsl.figures.l_shape.draw([tsl.runs.Run("runs/two_layer/first")])`.

Each module of a figure of runs has `TABLES`, the tables that it reads, and `draw(runs, …)`, which returns the figure.
Most figures have several panels, so `draw` accepts a matplotlib figure or a subfigure to draw into:

    whole = matplotlib.figure.Figure(figsize=(7, 3), layout="constrained")
    left, right = whole.subfigures(1, 2)
    tsl.figures.l_shape.draw(runs, figure=left)
    tsl.figures.convergence.draw(runs, figure=right)
"""

from tsl.figures import (
    alignment,
    best_correlation,
    certificate,
    convergence,
    final_error,
    gradient_at_recovery,
    heat_map,
    l_shape,
    l_shape_animation,
    order_parameters,
    sample_complexity,
    sample_needs,
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
    "final_error",
    "gradient_at_recovery",
    "heat_map",
    "l_shape",
    "l_shape_animation",
    "order_parameters",
    "sample_complexity",
    "sample_needs",
    "sample_size",
    "specialization_order",
    "success_rate",
    "trained_teacher",
    "trajectories",
    "universality",
]
