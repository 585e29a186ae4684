"""Memory and time of training on D' of the teacher-agnostic augmentation: `python benchmarks/augmentation.py`.

100,000 inputs of 100 dimensions in float32, 40 MB; their 20,100,000 samples would be 8 GB. Each way trains the base
two-layer student (10 teacher nodes, 2x, batch 16) through the Trainer for 5,000 steps, in a process of its own.
"""

import logging
import multiprocessing
import tempfile
import time
import warnings
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytorch_lightning as pl

from tsl.data import Augmentation, Gaussian, SyntheticDataModule, TeacherAgnostic, TeacherAware
from tsl.modules import TeacherStudent
from tsl.networks import MLP, GaussianInitialization, LikeTeacher, SeparableInitialization

WAYS: dict[str, Augmentation | None] = {
    "plain": None,
    "teacher-agnostic": TeacherAgnostic(step=5.0),
    "teacher-agnostic, rotated": TeacherAgnostic(step=5.0, rotate=True),
    "teacher-aware": TeacherAware(),
}


def megabytes() -> float:
    """The most memory this process has held; getrusage would count what its parent held before it was started."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def train(way: str, connection: Connection) -> None:
    """Send the peak of memory and the seconds of a run."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    module = TeacherStudent(
        partial(MLP, input_dim=100, widths=[10], output_dim=50),
        SeparableInitialization(),
        GaussianInitialization(),
        student=LikeTeacher(multiplier=2),
    )
    data = SyntheticDataModule(Gaussian(1.5), 100, 100_000, 100, augmentation=WAYS[way], steps_per_epoch=5000)
    with tempfile.TemporaryDirectory() as directory:
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=directory,
        )
        start = time.perf_counter()
        trainer.fit(module, datamodule=data)
    connection.send((megabytes(), time.perf_counter() - start))


def measured(way: str) -> tuple[float, float]:
    """Megabytes and seconds, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(way, sender))
    process.start()
    result = receiver.recv()
    process.join()
    return result


def main() -> None:
    """Print a table."""
    for way in WAYS:
        peak, seconds = measured(way)
        print(f"{way:27} peak memory {peak:5.0f} MB, {seconds:4.1f} s")


if __name__ == "__main__":
    main()
