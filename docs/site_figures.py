"""The figures of the pages about concepts, drawn when the site is built."""

import logging
import tempfile
import warnings
from functools import cache, partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytorch_lightning as pl
import torch

from tsl.callbacks import for_run
from tsl.data import Augmentation, Gaussian, Samples, SyntheticDataModule, TeacherAgnostic, TeacherAware
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization
from tsl.runs import Run
from tsl.theory.bounds import gradient_bound

EPOCHS = 15

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


@cache
def run(replicates: int = 8, seed: int = 0) -> Run:
    """A small two-layer run."""
    teacher = partial(MLP, input_dim=20, widths=[8], output_dim=10)
    start = SeparableInitialization(polarity=1, bias=-0.1), GaussianInitialization(std=0.005)
    both: dict[str, Any] = {"replicates": replicates, "seed": seed}
    module = TeacherStudent(teacher, *start, student=LikeTeacher(multiplier=2), **both)
    data = SyntheticDataModule(Gaussian(std=1.5), dim=20, train_size=5000, val_size=1000, **both)
    files = for_run(tempfile.mkdtemp(), "concepts", "run", progress=False)
    trainer = pl.Trainer(max_epochs=EPOCHS, precision="64-true", enable_model_summary=False, **files)
    with warnings.catch_warnings(action="ignore"):
        trainer.fit(module, data)
    return Run(str(trainer.log_dir))


def replicates() -> None:
    """The losses of a run's replicates, and of a separate run that has only one of them."""
    losses = run().table("losses").pivot_table("val_mse", "epoch", "replicate")
    alone = run(replicates=1, seed=2).table("losses").set_index("epoch")["val_mse"]
    _, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axes.semilogy(losses, color="0.75")
    axes.semilogy(losses[2], color="C0", linewidth=3, label="replicate 2 of a run with 8 replicates and seed 0")
    axes.semilogy(alone, color="k", linestyle="--", label="the only replicate of a run with seed 2")
    axes.set(xlabel="epoch", ylabel="evaluation loss")
    axes.legend()


def records() -> None:
    """The table teacher_nodes as a picture: one cell for each epoch and node."""
    nodes = run().table("teacher_nodes").pivot_table("best_correlation", "node", "epoch")
    _, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    image = axes.imshow(nodes, aspect="auto", origin="lower", vmin=0, vmax=1, extent=(-0.5, EPOCHS + 0.5, 0.5, 8.5))
    axes.set(xlabel="epoch", ylabel="teacher node")
    axes.figure.colorbar(image, label="best correlation,\nmean over replicates")


def null_levels() -> None:
    """The mean best correlation of a layer, and its two null levels."""
    layers = run().table("layers").groupby("epoch")[["rho_mean", "rho_mean_null"]].mean()
    _, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(layers["rho_mean"], marker="o", label="student and teacher")
    axes.axhline(layers["rho_mean"][0], color="C1", linestyle=":", label="untrained student and teacher")
    axes.plot(layers["rho_mean_null"], color="C2", linestyle="--", label="student and teacher on shuffled inputs")
    axes.set(xlabel="epoch", ylabel=r"$\rho_\mathrm{mean}$", ylim=(0, 1.02))
    axes.legend(loc="center right")


def certificate() -> None:
    """The ε that the theorem grants against the largest gradient, for two sizes of networks."""
    gradient = np.logspace(-12, 1, 100)
    sizes = {
        "certificate.yaml (m = 2, n = 4, d = 5)": (2, 4, 5),
        "two_layer.yaml (m = 20, n = 40, d = 100)": (20, 40, 100),
    }
    _, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for label, (m, n, d) in sizes.items():
        axes.loglog(gradient, gradient / gradient_bound(m, n, d, epsilon=1.0), label=label)
    axes.axhspan(1, 1e6, color="0.9", zorder=0)
    axes.text(2e-12, 30, "vacuous: a sine is never above 1", va="center")
    axes.set(xlabel=r"largest gradient $\|g_1\|_\infty$ over training inputs", ylabel="granted ε", ylim=(None, 1e6))
    axes.legend(loc="lower right")


def augmentation() -> None:
    """Inputs in two dimensions without and with the two augmentations."""
    teacher = MLP(input_dim=2, widths=[2], output_dim=1).double()
    lowest: Any = teacher.layers[0]
    normals = torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64)
    offsets = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    with torch.no_grad():
        lowest.weight[0], lowest.bias[0] = normals, offsets
    inputs = Samples(1.5 * torch.randn(1, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    kinds: dict[str, Augmentation | None] = {
        "plain inputs": None,
        "teacher-agnostic": TeacherAgnostic(step=0.5),
        "teacher-aware": TeacherAware(low=0.5, width=0.5),
    }
    _, panels = plt.subplots(1, 3, figsize=(8, 3), layout="constrained", sharex=True, sharey=True)
    along = np.array([-6.0, 6.0])
    for panel, (title, augment) in zip(panels, kinds.items(), strict=True):
        samples = inputs if augment is None else augment(inputs, [torch.Generator().manual_seed(0)], teacher)
        points = samples[:][0].numpy()
        panel.scatter(*points.T, s=9, c=np.arange(len(points)) % samples.variants, cmap="viridis")
        for normal, offset in zip(normals.numpy(), offsets.numpy(), strict=True):
            panel.plot(*(-offset * normal[:, None] + along * np.array([[-normal[1]], [normal[0]]])), color="0.6")
        panel.set(title=title, xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal", xlabel="$x_1$")
    panels[0].set_ylabel("$x_2$")
