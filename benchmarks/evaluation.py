"""What an evaluation costs beside training: python benchmarks/evaluation.py.

Seconds through Trainer.fit of an evaluation on 10,000 inputs, at d = 100, 50 outputs, 20 teacher nodes, 32 replicates:

  losses    the losses alone, with their records
  all       nodes and layers too

Evaluations of both kinds take turns within one run, with a single optimizer step between them. `share` is that of 1,000
optimizer steps of all replicates, at the student-steps per second that --rates gives.
"""

import os

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # as tsl does, before torch is imported

import argparse
import itertools
import logging
import statistics
import tempfile
import time
import warnings
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from tsl.callbacks import SpecializationRecords
from tsl.data import Gaussian, SyntheticDataModule
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization

REPLICATES = 32
FUSED = (236_000.0, 54_600.0, 314_000.0, 80_500.0)
"""Student-steps per second of compiled training steps on two idle cores: float64 1x and 10x, float32 1x and 10x."""


class Evaluations(pl.Callback):
    """Seconds of every evaluation, with what is logged and written of it, in order."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop it."""
        self.seconds.append(time.perf_counter() - self.start)


def evaluations(multiplier: int, precision: str, rounds: int) -> tuple[float, float]:
    """Median seconds of an evaluation of losses alone, and of one with nodes and layers."""
    module = TeacherStudent(
        partial(MLP, input_dim=100, widths=[20], output_dim=50),
        SeparableInitialization(polarity=1.0),
        GaussianInitialization(),
        student=LikeTeacher(multiplier),
        replicates=REPLICATES,
    )
    data = SyntheticDataModule(
        Gaussian(std=1.5), dim=100, train_size=16, val_size=10_000, steps_per_epoch=1, replicates=REPLICATES
    )
    epochs = 2 * rounds + 2  # the first of each kind warms up
    evaluated = Evaluations()
    with tempfile.TemporaryDirectory() as directory:
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=precision,
            max_epochs=epochs,
            num_sanity_val_steps=0,
            logger=CSVLogger(directory),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[evaluated, SpecializationRecords(epochs=list(range(2, epochs + 1, 2)))],
        )
        trainer.fit(module, datamodule=data)
    return statistics.median(evaluated.seconds[2::2]), statistics.median(evaluated.seconds[3::2])


def main() -> None:
    """Measure and print every combination of precision and width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rates", type=float, nargs=4, default=FUSED, help="float64 1x, 10x, float32 1x, 10x")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':>12} {'losses':>9} {'share':>6} {'all':>9} {'share':>6}")
    settings = itertools.product(("64-true", "32-true"), (1, 10))
    for (precision, multiplier), rate in zip(settings, args.rates, strict=True):
        training = 1000 * REPLICATES / rate
        losses, everything = evaluations(multiplier, precision, args.rounds)
        print(
            f"{precision:>8} {multiplier:>2}x {1e3 * losses:>6.0f} ms {losses / training:>6.0%} "
            f"{1e3 * everything:>6.0f} ms {everything / training:>6.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
