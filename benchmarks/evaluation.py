"""What an evaluation costs beside training: python -m benchmarks.evaluation.

Seconds through Trainer.fit of an evaluation on 10,000 inputs, at d = 100, 50 outputs, 20 teacher nodes, 32 replicates:

  losses    the losses alone, with their records
  all       nodes and layers too

Evaluations of both kinds take turns within one run, and training is a single optimizer step between them. `share` is
that of 1,000 training steps at a rate given with --rates, in student-steps per second.
"""

import argparse
import itertools
import logging
import statistics
import tempfile
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from benchmarks.training import REPLICATES, Stopwatch, experiment
from tsl.callbacks import SpecializationRecords

FUSED = {("64-true", 1): 236_000.0, ("64-true", 10): 54_600.0, ("32-true", 1): 314_000.0, ("32-true", 10): 80_500.0}
"""Student-steps per second of compiled training steps on two cores, by precision and multiplier."""


class Evaluations(Stopwatch):
    """Seconds of every evaluation, in order."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop both clocks."""
        super().on_train_epoch_end(trainer, pl_module)
        self.seconds.append(self.evaluation)


def evaluations(multiplier: int, precision: str, rounds: int) -> tuple[float, float]:
    """Median seconds of an evaluation of losses alone, and of one with nodes and layers."""
    module, data = experiment(multiplier, steps=1)
    epochs = 2 * rounds + 2  # the first of each kind warms up
    stopwatch = Evaluations()
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
            callbacks=[SpecializationRecords(epochs=list(range(2, epochs + 1, 2))), stopwatch],
        )
        trainer.fit(module, datamodule=data)
    return statistics.median(stopwatch.seconds[2::2]), statistics.median(stopwatch.seconds[3::2])


def main() -> None:
    """Measure and print every combination of precision and width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rates", type=float, nargs=4, default=list(FUSED.values()), help="float64 1x 10x, float32 …")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':>12} {'losses':>9} {'share':>6} {'all':>9} {'share':>6}")
    for (precision, multiplier), rate in zip(itertools.product(("64-true", "32-true"), (1, 10)), args.rates, strict=True):
        training = 1000 * REPLICATES / rate
        losses, everything = evaluations(multiplier, precision, args.rounds)
        print(
            f"{precision:>8} {multiplier:>2}x {1e3 * losses:>6.0f} ms {losses / training:>6.0%} "
            f"{1e3 * everything:>6.0f} ms {everything / training:>6.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
