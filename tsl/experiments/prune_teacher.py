"""Prune a trained teacher and continue its training: `python -m tsl.prune_teacher RUN --ratios 0.3 0.5 0.5 0.7`.

RUN is a run of tsl.modules.Classifier. In every hidden layer the nodes whose outgoing weights have the least mean
magnitude are masked (their outgoing weights are set to 0), and training continues with these masks. All files are in
RUN/pruned/<ratios>/, which is itself a run of tsl.fit. If it is interrupted, the same command resumes it:

    unpruned.pt    the teacher of RUN at its epoch of best validation accuracy
    start.pt       the same teacher with its masks, before it is trained further
    pruned.pt      the masked teacher after further training; it still has the pruned nodes, but nothing uses them
    compact.pt     a network of the same function without the pruned nodes

Each file is a teacher for students: --model.teacher tsl.networks.Pretrained
--model.teacher.checkpoint FILE. Further arguments go to tsl.fit, such as --data.data_dir DIR.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveFloat, PositiveInt
from rich.console import Console

from tsl.errors import InputError
from tsl.fit import main as fit
from tsl.networks import FeedForward, load_network, save_network
from tsl.networks.channel_pruning import KeptNodes, compacted, strongest_nodes
from tsl.runs.records import read_config
from tsl.runs.summary import accuracies
from tsl.runs.whole_files import written_whole
from tsl.tensor_files import read_tensors


def best_checkpoint(run: Path) -> Path:
    """The checkpoint of a Classifier's run with its best validation accuracy, or its last if that was not kept.

    Raises:
        InputError: If the run has neither.
    """
    for name in ("best", "last"):
        path = run / "checkpoints" / f"{name}.ckpt"
        if path.is_file():
            return path
    raise InputError(f"{run} has no checkpoints/best.ckpt or last.ckpt: its weights were not kept; run it again")


def accuracy_of(run: Path, checkpoint: Path) -> float:
    """The validation accuracy that a run logged at the epoch of a checkpoint."""
    epochs = read_tensors(checkpoint, keys=["epoch"])["epoch"] + 1
    return float(accuracies(run).loc[epochs])


def write_network(network: FeedForward, path: Path) -> None:
    """Write a network's file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        save_network(network, temporary)


def fine_tune(run: Path, out: Path, epochs: int, lr: float, further: Sequence[str]) -> None:
    """Train from out/start.pt with the run's settings, at a learning rate that falls to 0 along a cosine."""
    start = {"class_path": "tsl.networks.Pretrained", "init_args": {"checkpoint": str((out / "start.pt").resolve())}}
    cosine = {"class_path": "torch.optim.lr_scheduler.CosineAnnealingLR", "init_args": {"T_max": epochs}}
    changed = {
        "trainer.default_root_dir": str(out.parents[1]),
        "experiment": out.parent.name,
        "version": out.name,
        "trainer.max_epochs": str(epochs),
        "model.init_args.network": json.dumps(start),
        "model.init_args.initialization": "null",
        "model.init_args.optimizer.init_args.lr": str(lr),
        "model.init_args.lr_scheduler": json.dumps(cosine),
    }
    resume = ["--ckpt_path", "last"] if (out / "checkpoints/last.ckpt").is_file() else []
    arguments = [word for key, value in changed.items() for word in (f"--{key}", value)]
    fit(["--config", str(run / "config.yaml"), *arguments, *further, *resume])


def prune_teacher(asked: argparse.Namespace, further: Sequence[str], console: Console) -> None:
    """Prune, continue training, write the files and print the accuracies."""
    run: Path = asked.run
    if read_config(run).get("model", {}).get("class_path") != "tsl.modules.Classifier":
        raise InputError(
            f"{run} is not a run of tsl.modules.Classifier, which trains teachers on labels: give the directory of one"
        )
    checkpoint = best_checkpoint(run)
    out = run / "pruned" / "_".join(f"{ratio:g}" for ratio in asked.ratios)
    if not (out / "start.pt").is_file():  # an interrupted run has to resume from the same start
        network = load_network(checkpoint)
        kept = strongest_nodes(network, asked.ratios)
        write_network(network, out / "unpruned.pt")
        KeptNodes(kept).mask_(network)
        write_network(network, out / "start.pt")
    fine_tune(run, out, asked.epochs, asked.lr, further)
    tuned = best_checkpoint(out)
    network = load_network(tuned)
    write_network(network, out / "pruned.pt")
    write_network(compacted(network), out / "compact.pt")
    accuracy: dict[str, Any] = {
        "before": accuracy_of(run, checkpoint),
        "after pruning": accuracies(out).loc[0],
        "after further training": accuracy_of(out, tuned),
    }
    console.print("validation accuracy: " + ", ".join(f"{words} {value:.2%}" for words, value in accuracy.items()))
    active = [int(of_layer.sum(dim=1).max()) for of_layer in network.active_nodes()]
    console.print(f"active nodes: {active} of {network.widths}")
    console.print(f"teachers for students: {out}/unpruned.pt, pruned.pt and compact.pt", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.prune_teacher", description="Prune a trained teacher and continue its training."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a run of tsl.modules.Classifier")
    ratios = "fraction of nodes to prune in each hidden layer, from the input upward"
    parser.add_argument("--ratios", type=float, nargs="+", required=True, metavar="X", help=ratios)
    parser.add_argument(
        "--epochs", type=PositiveInt, default=20, metavar="N", help="epochs of training after pruning (default: 20)"
    )
    lr = "learning rate at the start, which falls to 0 along a cosine (default: 0.01)"
    parser.add_argument("--lr", type=PositiveFloat, default=0.01, metavar="X", help=lr)
    asked, further = parser.parse_known_args(arguments)
    try:
        prune_teacher(asked, further, Console(highlight=False, markup=False))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
