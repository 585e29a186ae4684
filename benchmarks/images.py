"""Speed of students of images: OMP_NUM_THREADS=1 python benchmarks/images.py.

The paper's networks: four 3x3 convolutions of 64 channels on 3 x 32 x 32, BatchNorm after the activation, 10 outputs,
student as wide as its teacher (the case with least arithmetic to hide behind), batch 128, float32, random images. Every
ratio is of medians over rounds that take turns within this one run, in processor time, so that other programs matter
less.

  trainer     images per second through Trainer.fit over those of a bare loop on batches in memory (goal 0.9)
  evaluation  time of an evaluation with all node measures over that of the forward passes of both (goal at most 1.5)
  layer       time of a forward and backward pass of one replicate over that of the same layers of torch.nn
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tsl.callbacks import SpecializationRecords
from tsl.data.batch import Labelled
from tsl.modules import TeacherStudent, mse
from tsl.networks import ConvNet, DefaultInitialization

SHAPE, WIDTHS, OUTPUTS, BATCH, CHUNK = [3, 32, 32], [64, 64, 64, 64], 10, 128, 4


class Batches:
    """Batches that are kept in memory."""

    split = "val"

    def __init__(self, batches: list[Labelled]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Labelled]:
        return iter(self.batches)


class InMemory(pl.LightningDataModule):
    """Random labelled images: chunks of minibatches to train on, batches of 500 to evaluate."""

    input_shape = SHAPE

    def __init__(self, steps: int, evaluated: int) -> None:
        super().__init__()
        sizes = [CHUNK] * (steps // CHUNK)
        self.chunks = [Labelled(torch.randn(k, 1, BATCH, *SHAPE), torch.zeros(k, 1, BATCH).long()) for k in sizes]
        images = torch.randn(1, evaluated, *SHAPE).split(500, dim=1)
        self.evaluation = [Labelled(batch, torch.zeros(batch.shape[:2]).long()) for batch in images]

    def train_dataloader(self) -> Batches:
        """The chunks."""
        return Batches(self.chunks)

    def val_dataloader(self) -> list[Batches]:
        """The evaluation batches."""
        return [Batches(self.evaluation)]


class Stopwatch(pl.Callback):
    """Seconds that the last training epoch and the last evaluation took."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the training clock."""
        self.start = time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the training clock and start that of the evaluation."""
        self.validation_start = time.process_time()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop both clocks."""
        self.training = self.validation_start - self.start
        self.evaluation = time.process_time() - self.validation_start


def experiment() -> TeacherStudent:
    """The paper's student of an untrained teacher."""
    return TeacherStudent(
        partial(ConvNet, input_shape=SHAPE, widths=WIDTHS, output_dim=OUTPUTS, batch_norm="after"),
        DefaultInitialization(),
        DefaultInitialization(),
        loss=mse,
        optimizer=partial(torch.optim.SGD, lr=0.01),
    )


def through_trainer(data: InMemory) -> tuple[float, float, TeacherStudent]:
    """Seconds of an epoch of training, and of its evaluation, through Trainer.fit."""
    module, stopwatch = experiment(), Stopwatch()
    with tempfile.TemporaryDirectory() as directory:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
            default_root_dir=directory,
            callbacks=[SpecializationRecords(), stopwatch],
        )
        trainer.fit(module, datamodule=data)
    return stopwatch.training, stopwatch.evaluation, module


def bare_loop(module: TeacherStudent, data: InMemory) -> float:
    """Seconds of the same training in a loop without Lightning."""
    optimizer = torch.optim.SGD(module.student.train().parameters(), lr=0.01)
    start = time.process_time()
    for chunk in data.chunks:
        for inputs in chunk.inputs:
            loss = mse(module.student(inputs), module.teacher(inputs)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.process_time() - start


@torch.no_grad()
def forward_passes(module: TeacherStudent, data: InMemory) -> float:
    """Seconds of the forward passes of both networks over the evaluation data."""
    module.eval()
    start = time.process_time()
    for batch in data.evaluation:
        module.teacher(batch.inputs)
        module.student(batch.inputs)
    return time.process_time() - start


def torch_layers() -> nn.Sequential:
    """The layers of the student, made of torch.nn modules."""
    layers: list[nn.Module] = []
    for below, width in zip([SHAPE[0], *WIDTHS], WIDTHS, strict=False):
        layers += [nn.Conv2d(below, width, 3), nn.ReLU(), nn.BatchNorm2d(width)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * 24 * 24, OUTPUTS))


def step(network: Callable[[Tensor], Tensor], inputs: Tensor) -> float:
    """Seconds of a forward and backward pass."""
    start = time.process_time()
    network(inputs).square().mean().backward()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps of each round")
    parser.add_argument("--images", type=int, default=10_000, help="evaluation images")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    data, plain = InMemory(asked.steps, asked.images), torch_layers()
    times: dict[str, list[float]] = {name: [] for name in ("fit", "evaluation", "bare", "forward", "ours", "torch")}
    for _ in range(asked.rounds):
        fit, evaluation, module = through_trainer(data)
        times["fit"].append(fit)
        times["bare"].append(bare_loop(module, data))
        times["evaluation"].append(evaluation)
        times["forward"].append(forward_passes(module, data))
        inputs = data.chunks[0].inputs[0]
        times["ours"].append(step(module.student.train(), inputs))
        times["torch"].append(step(plain, inputs[0]))
    median = {name: statistics.median(values) for name, values in times.items()}
    images = BATCH * len(data.chunks) * CHUNK
    print(f"trainer     {median['bare'] / median['fit']:.2f} ({images / median['fit']:.0f} images/s)")
    evaluated = asked.images / median["evaluation"]
    print(f"evaluation  {median['evaluation'] / median['forward']:.2f} ({evaluated:.0f} images/s)")
    print(f"layer       {median['ours'] / median['torch']:.2f} ({1000 * median['ours']:.0f} ms a batch)")


if __name__ == "__main__":
    main()
