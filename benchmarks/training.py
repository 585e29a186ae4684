"""Student-steps per second of tsl next to JAX, its own eager steps and the ordinary way: python benchmarks/training.py.

Student-steps per second = optimizer steps × replicates / second, at d = 100, 50 outputs, 20 teacher nodes, batch 16 and
32 replicates; and of a deep student (2x of 50-75-100-125 nodes, d = 20, 100 outputs, batch 64, 8 replicates).
Evaluation is excluded. Every ratio is of medians over rounds that take turns within this one run. Needs the extra
`bench`.

  fused     through Trainer.fit, steps compiled
  eager     the same with autograd (`--model.steps eager`)
  jax       the same arithmetic in JAX: vmap over replicates of a jitted scan of SGD steps, in a process of its own
  ordinary  a PyTorch loop that trains one seed at a time, in one single-thread process for each of two cores
  of peak   arithmetic of the fused steps over that of one large matrix product of the same precision
  evaluate  time of an evaluation on 10,000 inputs with its records, as a share of 1,000 fused steps

`--neighbour` keeps one core busy with another process meanwhile.
"""

import os

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # as tsl does, before torch is imported

import argparse
import contextlib
import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn

from tsl.callbacks import SpecializationRecords
from tsl.data import Gaussian, SyntheticDataModule
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher

INPUTS = 10_000


class Problem(NamedTuple):
    """Layers of the student (input dimension, hidden nodes, outputs), its multiplier, minibatch and replicates."""

    name: str
    widths: list[int]
    multiplier: int
    batch: int
    replicates: int

    @property
    def flops(self) -> int:
        """Floating-point operations of a student-step: forward pass, backpropagated errors, gradients."""
        products = [below * above for below, above in pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(products) - products[0])


TWO_LAYER = [Problem(f"{m}x", [100, 20 * m, 50], m, 16, 32) for m in (1, 10)]
DEEP = Problem("deep 2x", [20, 100, 150, 200, 250, 100], 2, 64, 8)


class Stopwatch(pl.Callback):
    """Seconds that training and evaluation took, last time."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the training clock."""
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the training clock and start that of the evaluation."""
        self.validation_start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop both clocks."""
        self.training = self.validation_start - self.start
        self.evaluation = time.perf_counter() - self.validation_start


def experiment(
    problem: Problem, steps: int, how: Literal["eager", "fused"]
) -> tuple[TeacherStudent, SyntheticDataModule]:
    """The experiment at one width."""
    dim, *hidden, outputs = problem.widths
    module = TeacherStudent(
        partial(MLP, input_dim=dim, widths=[nodes // problem.multiplier for nodes in hidden], output_dim=outputs),
        GaussianInitialization(0.1),
        GaussianInitialization(0.1),
        student=LikeTeacher(problem.multiplier),
        replicates=problem.replicates,
        steps=how,
    )
    data = SyntheticDataModule(
        Gaussian(std=1.5),
        dim=dim,
        train_size=INPUTS,
        val_size=INPUTS,
        batch_size=problem.batch,
        steps_per_epoch=steps,
        replacement=True,
        replicates=problem.replicates,
    )
    return module, data


def timed_fit(module: TeacherStudent, data: SyntheticDataModule, precision: str) -> Stopwatch:
    """Trainer.fit for two epochs; gives the clocks of the second."""
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(None):
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=precision,
            max_epochs=2,
            num_sanity_val_steps=0,
            logger=False,
            default_root_dir=directory,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SpecializationRecords(), stopwatch],
        )
        trainer.fit(module, datamodule=data)
    return stopwatch


class Tsl:
    """Trainer.fit for two epochs. The second is timed, because the teacher answers all inputs once in the first."""

    def __init__(self, problem: Problem, dtype: torch.dtype, steps: int, how: Literal["eager", "fused"]) -> None:
        self.module, self.data = experiment(problem, steps, how)
        self.precision = "64-true" if dtype == torch.float64 else "32-true"
        self.steps = steps

    def measure(self) -> tuple[float, float]:
        """Seconds for one optimizer step, and for one evaluation."""
        stopwatch = timed_fit(self.module, self.data, self.precision)
        return stopwatch.training / self.steps, stopwatch.evaluation


def jax_process(problem: Problem, double: bool, steps: int, seconds: "multiprocessing.Queue[float]") -> None:
    """Train all replicates with JAX, and report the seconds of a step."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", double)
    dtype = jnp.float64 if double else jnp.float32
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 20))
    replicates = problem.replicates
    shapes = [(replicates, below, above) for below, above in pairwise(problem.widths)]
    weights = [0.1 * jax.random.normal(next(keys), shape, dtype) for shape in shapes]
    parameters = [(weight, jnp.zeros((replicates, weight.shape[2]), dtype)) for weight in weights]
    inputs = jax.random.normal(next(keys), (replicates, INPUTS, problem.widths[0]), dtype)
    targets = jax.random.normal(next(keys), (replicates, INPUTS, problem.widths[-1]), dtype)
    index = jax.random.randint(next(keys), (replicates, steps, problem.batch), 0, INPUTS)

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        *hidden, (weight, bias) = parameters
        for W, b in hidden:
            x = jax.nn.relu(x @ W + b)
        return 0.5 * ((x @ weight + bias - y) ** 2).sum(axis=1).mean()

    def train(parameters: Any, inputs: Any, targets: Any, index: Any) -> Any:
        def step(parameters: Any, rows: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(parameters, inputs[rows], targets[rows])
            return jax.tree.map(lambda p, g: p - 0.01 * g, parameters, gradients), value

        return jax.lax.scan(step, parameters, index)

    compiled = jax.jit(jax.vmap(train))
    jax.block_until_ready(compiled(parameters, inputs, targets, index))
    start = time.perf_counter()
    jax.block_until_ready(compiled(parameters, inputs, targets, index))
    seconds.put((time.perf_counter() - start) / steps)


def ordinary_process(problem: Problem, double: bool, steps: int, seconds: "multiprocessing.Queue[float]") -> None:
    """Train one seed with plain PyTorch on one thread, and report the seconds of a step."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    dim, *hidden, outputs = problem.widths

    def network(widths: list[int]) -> nn.Sequential:
        layers = [layer for below, above in pairwise(widths) for layer in (nn.Linear(below, above), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    teacher = network([dim, *(nodes // problem.multiplier for nodes in hidden), outputs])
    student = network(problem.widths)
    inputs = torch.randn(INPUTS, dim)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)

    def train(steps: int) -> None:
        for _ in range(steps):
            batch = inputs[torch.randint(INPUTS, (problem.batch,))]
            with torch.no_grad():
                target = teacher(batch)
            loss = 0.5 * (student(batch) - target).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    train(steps // 5)
    start = time.perf_counter()
    train(steps)
    seconds.put((time.perf_counter() - start) / steps)


def in_processes(target: Any, count: int, *arguments: Any) -> float:
    """The mean of the seconds that some processes report, which run side by side."""
    context = multiprocessing.get_context("spawn")
    seconds: multiprocessing.Queue[float] = context.Queue()
    processes = [context.Process(target=target, args=(*arguments, seconds)) for _ in range(count)]
    for process in processes:
        process.start()
    total = sum(seconds.get() for _ in processes)
    for process in processes:
        process.join()
    return total / count


def peak(dtype: torch.dtype) -> float:
    """Floating-point operations per second of one large product."""
    matrix = torch.randn(1500, 1500, dtype=dtype)
    matrix @ matrix
    start = time.perf_counter()
    for _ in range(3):
        matrix @ matrix
    return 3 * 2 * 1500**3 / (time.perf_counter() - start)


def keep_busy() -> None:
    """Use one core, as another program would."""
    torch.set_num_threads(1)
    matrix = torch.randn(300, 300)
    while True:
        matrix @ matrix


def measure(problem: Problem, dtype: torch.dtype, steps: int, rounds: int) -> None:
    """Print a line of the table."""
    double = dtype == torch.float64
    fused, eager = Tsl(problem, dtype, steps, "fused"), Tsl(problem, dtype, steps, "eager")
    fused.measure()  # compiled code is loaded
    times: dict[str, list[float]] = {name: [] for name in ("fused", "evaluation", "eager", "jax", "ordinary", "peak")}
    for _ in range(rounds):
        step, evaluation = fused.measure()
        times["fused"].append(step)
        times["evaluation"].append(evaluation)
        times["eager"].append(eager.measure()[0])
        times["jax"].append(in_processes(jax_process, 1, problem, double, steps))
        times["ordinary"].append(in_processes(ordinary_process, 2, problem, double, steps) * problem.replicates / 2)
        times["peak"].append(peak(dtype))
    median = {name: statistics.median(values) for name, values in times.items()}
    rate = problem.replicates / median["fused"]
    ratios = " ".join(f"{median[name] / median['fused']:>9.1f}" for name in ("jax", "eager", "ordinary"))
    print(
        f"{'float64' if double else 'float32'} {problem.name:>8} {rate:>16,.0f} {ratios} "
        f"{rate * problem.flops / median['peak']:>9.0%} {median['evaluation'] / (1000 * median['fused']):>9.0%}",
        flush=True,
    )


def main() -> None:
    """Measure and print every combination of precision and width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps of each round")
    parser.add_argument("--neighbour", action="store_true", help="keep one core busy with another process")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    neighbour = multiprocessing.get_context("spawn").Process(target=keep_busy, daemon=True)
    if args.neighbour:
        neighbour.start()
    print(f"{'student-steps/s':>33} {'vs jax':>9} {'vs eager':>9} {'ordinary':>9} {'of peak':>9} {'evaluate':>9}")
    for dtype in (torch.float64, torch.float32):
        for problem in TWO_LAYER:
            measure(problem, dtype, args.steps, args.rounds)
    measure(DEEP, torch.float32, args.steps // 5, args.rounds)
    if args.neighbour:
        neighbour.terminate()


if __name__ == "__main__":
    main()
