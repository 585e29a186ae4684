"""Student-steps per second of tsl next to a bare loop and to the ordinary way: python benchmarks/training.py.

Student-steps per second = optimizer steps × replicates / second, at d = 100, 50 outputs, 20 teacher nodes, batch 16,
32 replicates, evaluation excluded. Every ratio is of medians over rounds that take turns within this one run.

  tsl       through Trainer.fit
  bare      the same networks, minibatches and optimizer in a loop without Lightning
  ordinary  a PyTorch loop that trains one seed at a time, in one single-thread process for each of two cores
  evaluate  time of an evaluation on 10,000 inputs with its records, as a share of an epoch of 1,000 steps
"""

import argparse
import itertools
import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from functools import partial

import pytorch_lightning as pl
import torch
from torch import nn

from tsl.callbacks import SpecializationRecords
from tsl.data import ChunkLoader, Gaussian, Samples, SyntheticDataModule
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization

DIM, TEACHER_NODES, OUTPUTS, BATCH, INPUTS, REPLICATES = 100, 20, 50, 16, 10_000, 32


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


def experiment(multiplier: int, steps: int) -> tuple[TeacherStudent, SyntheticDataModule]:
    """The two-layer experiment at one width."""
    module = TeacherStudent(
        partial(MLP, input_dim=DIM, widths=[TEACHER_NODES], output_dim=OUTPUTS),
        SeparableInitialization(polarity=1.0),
        GaussianInitialization(),
        student=LikeTeacher(multiplier),
        replicates=REPLICATES,
    )
    data = SyntheticDataModule(
        Gaussian(std=1.5),
        dim=DIM,
        train_size=INPUTS,
        val_size=INPUTS,
        batch_size=BATCH,
        steps_per_epoch=steps,
        replacement=True,
        replicates=REPLICATES,
    )
    return module, data


class Tsl:
    """Trainer.fit, of which each call trains and evaluates one epoch."""

    def __init__(self, multiplier: int, precision: str, steps: int) -> None:
        self.module, self.data = experiment(multiplier, steps)
        self.precision = precision
        self.steps = steps

    def measure(self) -> tuple[float, float]:
        """Seconds for one optimizer step, and for one evaluation."""
        stopwatch = Stopwatch()
        with tempfile.TemporaryDirectory() as directory:
            trainer = pl.Trainer(
                accelerator="cpu",
                precision=self.precision,
                max_epochs=1,
                num_sanity_val_steps=0,
                logger=False,
                default_root_dir=directory,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[SpecializationRecords(), stopwatch],
            )
            trainer.fit(self.module, datamodule=self.data)
        return stopwatch.training / self.steps, stopwatch.evaluation


class Bare:
    """The same arithmetic in a bare loop."""

    def __init__(self, multiplier: int, dtype: torch.dtype, steps: int) -> None:
        torch.set_default_dtype(dtype)
        self.module, self.data = experiment(multiplier, steps)
        self.module.make_networks()
        self.optimizer = self.module.configure_optimizers()
        self.inputs = torch.randn(REPLICATES, INPUTS, DIM)
        self.steps = steps
        torch.set_default_dtype(torch.float32)

    def measure(self) -> float:
        """Seconds for one optimizer step."""
        start = time.perf_counter()
        for chunk in ChunkLoader(lambda epoch: Samples(self.inputs), self.data.sampler):
            assert isinstance(chunk, torch.Tensor)
            answers = self.module.teacher(chunk.transpose(0, 1).flatten(1, 2))
            answers = answers.unflatten(1, (len(chunk), -1)).transpose(0, 1)
            for inputs, targets in zip(chunk, answers, strict=True):
                loss = self.module.loss(self.module.student(inputs), targets).sum()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        return (time.perf_counter() - start) / self.steps


def ordinary_process(multiplier: int, dtype: torch.dtype, steps: int, seconds: "multiprocessing.Queue[float]") -> None:
    """Train one seed with plain PyTorch on one thread, and report the seconds of a step."""
    torch.set_num_threads(1)
    torch.set_default_dtype(dtype)
    teacher = nn.Sequential(nn.Linear(DIM, TEACHER_NODES), nn.ReLU(), nn.Linear(TEACHER_NODES, OUTPUTS))
    width = multiplier * TEACHER_NODES
    student = nn.Sequential(nn.Linear(DIM, width), nn.ReLU(), nn.Linear(width, OUTPUTS))
    inputs = torch.randn(INPUTS, DIM)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)

    def train(steps: int) -> None:
        for _ in range(steps):
            batch = inputs[torch.randint(INPUTS, (BATCH,))]
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


def ordinary(multiplier: int, dtype: torch.dtype, steps: int) -> float:
    """Seconds for one student-step of two processes that train side by side."""
    context = multiprocessing.get_context("spawn")
    seconds: multiprocessing.Queue[float] = context.Queue()
    processes = [context.Process(target=ordinary_process, args=(multiplier, dtype, steps, seconds)) for _ in range(2)]
    for process in processes:
        process.start()
    total = sum(seconds.get() for _ in processes)
    for process in processes:
        process.join()
    return total / 4


def main() -> None:
    """Measure and print every combination of precision and width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps of each round")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(f"{'':>20} {'student-steps/s':>16} {'vs bare':>8} {'vs ordinary':>12} {'evaluate':>9}")
    for precision, multiplier in itertools.product(("64-true", "32-true"), (1, 10)):
        dtype = torch.float64 if precision == "64-true" else torch.float32
        tsl, bare = Tsl(multiplier, precision, args.steps), Bare(multiplier, dtype, args.steps)
        times: dict[str, list[float]] = {"tsl": [], "evaluation": [], "bare": [], "ordinary": []}
        for _ in range(args.rounds):
            step, evaluation = tsl.measure()
            times["tsl"].append(step)
            times["evaluation"].append(evaluation)
            times["bare"].append(bare.measure())
            times["ordinary"].append(ordinary(multiplier, dtype, args.steps))
        median = {name: statistics.median(values) for name, values in times.items()}
        print(
            f"{precision:>8} {multiplier:>2}x {TEACHER_NODES * multiplier:>3} nodes "
            f"{REPLICATES / median['tsl']:>16,.0f} {median['bare'] / median['tsl']:>8.2f} "
            f"{median['ordinary'] * REPLICATES / median['tsl']:>12.1f} "
            f"{median['evaluation'] / (1000 * median['tsl']):>9.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
