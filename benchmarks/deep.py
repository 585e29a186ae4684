"""Speed and memory of deep students: OMP_NUM_THREADS=1 python benchmarks/deep.py.

At d = 20, a teacher of 50-75-100-125 nodes and 100 outputs, students of twice its widths, batch 64, float32. Every
ratio is of medians over rounds that take turns within this one run.

  trainer     steps per second through Trainer.fit over those of a bare loop of the same arithmetic (goal 0.85)
  replicates  student-steps per second of 8 replicates over those of one (goal 2.5)
  strengths   time of √E β_kk by a loop over samples that multiplies out nodes × nodes matrices, over ours (goal 50)
  memory      peak of a process that trains an epoch on 2,000,000 inputs (goal 3 GB)
"""

import argparse
import logging
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from tsl.data import Gaussian, SyntheticDataModule
from tsl.data.loaders import ChunkLoader
from tsl.data.samples import Samples
from tsl.modules import TeacherStudent, mse
from tsl.networks import MLP, DeepSeparableInitialization, DefaultInitialization, LikeTeacher, squared_strengths

DIM, WIDTHS, OUTPUTS, BATCH = 20, [50, 75, 100, 125], 100, 64


def experiment(inputs: int, replicates: int = 1) -> tuple[TeacherStudent, SyntheticDataModule]:
    """The deep experiment with so many training inputs."""
    module = TeacherStudent(
        partial(MLP, input_dim=DIM, widths=WIDTHS, output_dim=OUTPUTS),
        DeepSeparableInitialization(),
        DefaultInitialization(),
        student=LikeTeacher(multiplier=2),
        loss=mse,
        optimizer=partial(torch.optim.SGD, lr=0.1),
        condition_teacher=True,
        replicates=replicates,
    )
    data = SyntheticDataModule(
        Gaussian(std=10), dim=DIM, train_size=inputs, val_size=1000, batch_size=BATCH, replicates=replicates
    )
    return module, data


class Stopwatch(pl.Callback):
    """Seconds that the last epoch's training took."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop it."""
        self.seconds = time.perf_counter() - self.start


def trained(inputs: int, replicates: int = 1) -> tuple[float, TeacherStudent]:
    """Seconds of one step through Trainer.fit, over an epoch without evaluation, and what was trained."""
    module, data = experiment(inputs, replicates)
    stopwatch = Stopwatch()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        callbacks=[stopwatch],
        **quiet,
    )
    trainer.fit(module, datamodule=data)
    return stopwatch.seconds / (inputs // BATCH), module


def bare_step(module: TeacherStudent, inputs: int) -> float:
    """Seconds of one step of the same networks, minibatches and optimizer in a loop without Lightning."""
    samples = Samples(10 * torch.randn(1, inputs, DIM))
    _, data = experiment(inputs)
    optimizer = torch.optim.SGD(module.student.parameters(), lr=0.1)
    start = time.perf_counter()
    for chunk in ChunkLoader(lambda epoch: samples, data.sampler):
        inputs_of = chunk.inputs  # [K, R, B, d]
        answers = module.teacher(inputs_of.transpose(0, 1).flatten(1, 2)).unflatten(1, (len(inputs_of), -1))
        for batch, targets in zip(inputs_of, answers.transpose(0, 1), strict=True):
            loss = mse(module.student(batch), targets).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (time.perf_counter() - start) / (inputs // BATCH)


def multiplied_out(network: MLP, inputs: Tensor) -> list[Tensor]:
    """E_x β_kk of one replicate as the diagonal of the mean of B_l(x), built for every sample from the top down."""
    weights = [layer.weight[0] for layer in network.layers]
    sums = [torch.zeros(width) for width in network.widths]
    for sample in inputs[0]:
        gates = [(pre[0, 0] > 0).float() for pre in network.activations(sample[None, None]).pre]
        B = weights[-1].T @ weights[-1]
        for layer in range(len(sums) - 1, -1, -1):
            sums[layer] += B.diagonal()
            gated = gates[layer][:, None] * B * gates[layer]
            B = weights[layer].T @ gated @ weights[layer]
    return [total / inputs.shape[1] for total in sums]


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_memory() -> float:
    """The largest memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


@torch.no_grad()
def strengths(rounds: int, network: MLP) -> str:
    """The comparison of √E β_kk on a batch of 500 inputs, after checking that both give the same."""
    inputs = 10 * torch.randn(1, 500, DIM)
    activations = network.activations(inputs)
    ours, theirs = squared_strengths(network, activations), multiplied_out(network, inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a[0], b, rtol=1e-3, atol=1e-6)
    before = peak_memory()
    fast = statistics.median(seconds(lambda: squared_strengths(network, activations)) for _ in range(rounds))
    grown = peak_memory() - before
    slow = statistics.median(seconds(lambda: multiplied_out(network, inputs)) for _ in range(rounds))
    return f"{slow / fast:.0f} ({1000 * fast:.1f} ms for 500 inputs; peak memory {before:.2f} GB, then {grown:+.3f} GB)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of each round")
    parser.add_argument("--inputs", type=int, default=2_000_000, help="training inputs of the memory measurement")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if asked.only_memory:
        trained(asked.inputs)
        print(f"{peak_memory():.2f} GB")
        return
    one, eight, bare = [], [], []
    for _ in range(asked.rounds):
        step, module = trained(asked.steps * BATCH)
        one.append(step)
        bare.append(bare_step(module, asked.steps * BATCH))
        eight.append(trained(asked.steps * BATCH, replicates=8)[0] / 8)
    assert isinstance(module.student, MLP)
    single = statistics.median(one)
    print(f"trainer     {statistics.median(bare) / single:.2f} ({1000 * single:.2f} ms a step)")
    print(f"replicates  {single / statistics.median(eight):.2f}")
    print(f"strengths   {strengths(asked.rounds, module.student)}")
    command = [sys.executable, __file__, "--only-memory", "--inputs", str(asked.inputs)]
    print(
        f"memory      {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}", flush=True
    )


if __name__ == "__main__":
    main()
