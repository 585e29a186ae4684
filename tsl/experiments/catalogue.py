"""The experiments of `tsl reproduce`: E1 to E10 of the paper, T1 to T4 of the theory, and further ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tsl.experiments.gradient_outcomes import gradient_in_words, gradient_order
from tsl.experiments.outcomes import (
    Outcome,
    accuracy_and_correlations,
    best_rates,
    corner,
    few_and_many_samples,
    final_loss,
    layer_correlations,
    mean_correlation,
    range_of_correlations,
    recovery,
)
from tsl.experiments.theorem_outcomes import growth_in_words, samples_needed
from tsl.experiments.theory_outcomes import (
    approach_to_theory,
    beside_theory,
    late_error,
    noise_law,
    strength_order,
)
from tsl.figures import (
    alignment,
    best_correlation,
    convergence,
    final_error,
    gradient_at_recovery,
    l_shape,
    order_parameters,
    sample_needs,
    sample_size,
    success_rate,
    trained_teacher,
    trajectories,
)
from tsl.runs import Run
from tsl.runs.settings import MULTIPLIER, POLARITY, TRAIN_SIZE

AXES: dict[str, tuple[str, ...]] = {
    "multiplier": (MULTIPLIER,),
    "polarity": (POLARITY,),
    "train_size": (TRAIN_SIZE,),
    "dim": ("model.init_args.teacher.init_args.input_dim", "data.init_args.dim"),
    "teacher": (trained_teacher.CHECKPOINT,),
    "lr": ("model.init_args.optimizer.init_args.lr",),
}
"""The settings of each axis; the values of other axes are shipped configs, `<runs>/<value>.yaml`."""

Axes = Mapping[str, Sequence[float | str]]


@dataclass(frozen=True)
class Experiment:
    """The runs of a figure, and how they are drawn.

    Args:
        runs: Name of its runs, its config and its quick overlay; experiments with the same `runs` share their runs.
        figure: The module that draws it.
        outcome: Function that returns the statistics of replicates with the same settings.
        axes: The values of each axis; the cells are all their combinations.
        quick: Fewer values for the quick scale, of some axes; `--where` may ask for the others.
        base: The config that comes before the experiment's own config.
        options: Further arguments of the figure's `draw`.
        outcome_over: Settings that may differ along the replicates of one outcome.
        across: Function that returns sentences about all runs together, which are printed below the table.
    """

    runs: str
    figure: ModuleType
    outcome: Outcome
    axes: Axes
    quick: Axes = field(default_factory=dict)
    base: str = "two_layer"
    options: Mapping[str, Any] = field(default_factory=dict)
    outcome_over: Sequence[str] = ()
    across: Callable[[Sequence[Run]], list[str]] | None = None


WIDTHS = (1, 2, 5, 10)
FEWER: Axes = {"polarity": (1, 2), "multiplier": (1, 2, 5)}
E1_AXES: Axes = {"polarity": (0, 1, 2), "multiplier": WIDTHS}
E2_AXES: Axes = {"polarity": (0.5, 1, 1.5, 2, 2.5), "multiplier": WIDTHS}
E3_AXES: Axes = {"polarity": (0, 0.5, 1, 1.5, 2, 2.5), "multiplier": WIDTHS}
E6_AXES: Axes = {
    "train_size": (5_000, 10_000, 12_500, 20_000, 50_000, 100_000, 200_000, 500_000, 2_000_000),
    "multiplier": (2,),
}
E6_WIDTHS_AXES: Axes = {"train_size": (10_000, 20_000, 50_000), "multiplier": (2, 5)}
E6_FEWER: Axes = {"train_size": (512, 2_048)}
E6_QUICK: Axes = {"train_size": (512, 2_048, 10_240, 102_400)}
E7_AXES: tuple[Axes, Axes] = ({"multiplier": (2, 10)}, {"multiplier": (5,)})
E9_AXES: tuple[Axes, Axes] = ({"dim": range(10, 101, 10), "multiplier": (2, 10)}, {"dim": (10, 50)})
E8_AXES: Axes = {"teacher": ("unpruned", "pruned"), "multiplier": (1, 2, 5)}
T1_AXES: tuple[Axes, Axes] = ({"nodes": ("K2", "K3"), "inputs": ("d500", "d1000", "d2000")}, {"inputs": ("d500",)})
T1_SIZE_AXES: Axes = {"nodes": ("K2",), "inputs": ("d500", "d1000", "d2000"), "course": ("plateau",)}
T2_AXES: tuple[Axes, Axes] = (
    {"multiplier": (1, 1.5, 2, 3), "lr": (0.0125, 0.025, 0.05)},
    {"multiplier": (1, 1.5), "lr": (0.025, 0.05)},
)
T4_AXES: tuple[Axes, Axes] = ({"polarity": (0.5, 1, 1.5)}, {"polarity": (1,)})
RATES_AXES: tuple[Axes, Axes] = (
    {"variant": ("adam_rates", "momentum_rates"), "lr": (0.0003, 0.001, 0.003, 0.01, 0.03)},
    {"lr": (0.001, 0.01)},
)
VARIANTS = ("plain", "leaky", "bn_before", "bn_after", "uniform", "adam", "momentum", "low_dimensional", "fresh")


def of_gradient(records: Axes, widths: Sequence[float] = WIDTHS) -> Experiment:
    """E2 at all polarities, for the gradient's size when nodes are recovered; `records` adds an axis of configs."""
    axes = {**E3_AXES, **records, "multiplier": widths}
    fewer: Axes = {"polarity": (1, 2), "multiplier": widths[:3]}
    return Experiment("E2", gradient_at_recovery, gradient_order, axes, fewer, across=gradient_in_words)


def of_deep_students(variant: str, sizes: Sequence[int], **options: str) -> Experiment:
    """E6 with one of the configs `configs/E6/*.yaml`, at 2x."""
    axes: Axes = {"variant": (variant,), "train_size": sizes, "multiplier": (2,)}
    return Experiment("E6", sample_size, layer_correlations, axes, E6_FEWER, "multilayer", options)


def of_samples(**varied: Sequence[float | str]) -> Experiment:
    """How many samples recovery needs, along one axis, with each kind of augmentation."""
    fixed: Axes = {"augmentation": ("plain", "agnostic", "aware"), "dim": (32,), "nodes": ("m5",), "multiplier": (2,)}
    return Experiment(
        "theorem",
        sample_needs,
        samples_needed,
        {**fixed, **varied},
        {axis: values[:3] for axis, values in varied.items()},
        outcome_over=[TRAIN_SIZE, "diverged"],
        across=growth_in_words,
    )


def on_inputs(distribution: str) -> Experiment:
    """E5 on one input distribution."""
    axes: Axes = {
        "augmentation": ("plain", "aware", "agnostic"),
        "distribution": (distribution,),
        "multiplier": WIDTHS,
    }
    fewer: Axes = {"multiplier": (1, 5)}
    return Experiment("E5", sample_size, few_and_many_samples, axes, fewer, outcome_over=[TRAIN_SIZE])


EXPERIMENTS = {
    "E1": Experiment("E1", l_shape, corner, E1_AXES, {"polarity": (1, 2), "multiplier": (1, 10)}),
    "E2": Experiment("E2", success_rate, recovery, E2_AXES, FEWER),
    "E3": Experiment("E2", convergence, final_loss, E3_AXES, FEWER),
    "E2-gradient": of_gradient({}),
    "E2-fine": of_gradient({"records": ("fine",)}, (1, 2)),
    "E4": Experiment("E4", trajectories, mean_correlation, {"polarity": (1,), "multiplier": (2,)}),
    "E5": on_inputs("gaussian"),
    "E5-rademacher": on_inputs("rademacher"),
    "E5-low_dimensional": on_inputs("low_dimensional"),
    "E6": Experiment("E6", sample_size, layer_correlations, E6_AXES, E6_QUICK, "multilayer"),
    "E6-widths": Experiment("E6", sample_size, layer_correlations, E6_WIDTHS_AXES, E6_FEWER, "multilayer"),
    "E6-cross_entropy": of_deep_students("cross_entropy", (10_000, 20_000, 50_000), evaluation_loss="val_loss"),
    "E6-unscaled": of_deep_students("unscaled", (5_000, 10_000)),
    "E7": Experiment("E7", l_shape, layer_correlations, *E7_AXES, "multilayer", {"epochs": ()}),
    "E8": Experiment("E8", trained_teacher, accuracy_and_correlations, E8_AXES, base="cifar10/student"),
    "E9": Experiment("E9", best_correlation, range_of_correlations, *E9_AXES),
    "T1": Experiment("T1", order_parameters, beside_theory, *T1_AXES, "committee", {"theory": True}),
    "T1-size": Experiment(
        "T1",
        order_parameters,
        beside_theory,
        T1_SIZE_AXES,
        {},
        "committee",
        {"theory": True},
        across=approach_to_theory,
    ),
    "T2": Experiment("T2", final_error, late_error, *T2_AXES, "committee", across=noise_law),
    "T3": Experiment("T3", order_parameters, beside_theory, {"multiplier": (1, 2)}, {}, "committee", {"theory": True}),
    "T4": Experiment("T4", order_parameters, strength_order, *T4_AXES, "committee", {"theory": True}),
    "theorem-d": of_samples(dim=(8, 16, 32, 64, 128)),
    "theorem-m": of_samples(nodes=("m2", "m5", "m10", "m20")),
    "theorem-n": of_samples(multiplier=WIDTHS),
    "E10": Experiment("E10", alignment, layer_correlations, {"variant": VARIANTS}, {}, "multilayer"),
    "E10-rates": Experiment("E10", alignment, layer_correlations, *RATES_AXES, "multilayer", across=best_rates),
    "E10-noise": Experiment("E10", alignment, layer_correlations, {"variant": ("noise",)}, {}, "multilayer"),
}
