"""Prune nodes that did not specialize: `python -m tsl.prune_student runs/two_layer/version_0 --max-loss-increase 0.01`.

The nodes of the trained student that correlate least with the teacher's nodes (or have the least strength) are removed,
lowest layer first, as many as budget and threshold allow. The directory RUN/pruned/ then holds

    student.pt     the smaller student: plain tensors, for MLP.load_state_dict
    config.yaml    the run's settings with the smaller student, for further training by `python -m tsl.fit --config`
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse.typing import NonNegativeFloat
from rich.console import Console
from rich.table import Table

from tsl.errors import InputError
from tsl.modules.load_run import load_run
from tsl.networks import MLP
from tsl.networks.pruning import PrunedLayer, prune
from tsl.runs.records import read_config
from tsl.runs.translation import LIKE_TEACHER, WITH_WIDTHS
from tsl.runs.whole_files import written_whole


def pruned_config(config: dict[str, Any], student: MLP, weights: Path) -> dict[str, Any]:
    """The settings that continue training from a pruned student, as a new run beside the first.

    Args:
        config: Settings of the run in which it was trained.
        student: The pruned student.
        weights: The file of its weights.
    """
    start = {"class_path": "tsl.networks.FromFile", "init_args": {"path": str(weights.resolve())}}
    before = config["model"]["init_args"].get("student", {"class_path": LIKE_TEACHER})
    kept = {name: value for name, value in before.get("init_args", {}).items() if name != "multiplier"}
    kind = WITH_WIDTHS if before["class_path"] == LIKE_TEACHER else before["class_path"]
    now = {"class_path": kind, "init_args": kept | {"widths": student.widths}}
    changed = {"student": now, "student_initialization": start}
    model = config["model"] | {"init_args": config["model"]["init_args"] | changed}
    experiment = f"{config.get('experiment', 'default')}_pruned"
    return config | {"experiment": experiment, "version": None, "ckpt_path": None, "model": model}


def write(out: Path, student: MLP, config: dict[str, Any]) -> None:
    """Write the directory that the module's docstring describes, each file whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / "student.pt") as temporary:
        torch.save(student.state_dict(), temporary)
    with written_whole(out / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(pruned_config(config, student, out / "student.pt"), sort_keys=False))


def layer_table(report: Sequence[PrunedLayer]) -> Table:
    """A table with a row for each hidden layer: its nodes and the student's loss (mean over replicates)."""
    replicates = len(report[0].loss_before)
    over = f", means of {replicates} replicates" if replicates > 1 else ""
    table = Table(title=f"Validation loss before and after pruning{over}")
    for heading in ("layer", "nodes before", "nodes after", "loss before", "loss after", "worst increase"):
        table.add_column(heading, justify="right")
    for row in report:
        worst = ((row.loss_after - row.loss_before) / row.loss_before).max()
        losses = [f"{loss.mean():.4g}" for loss in (row.loss_before, row.loss_after)]
        increase = f"{worst:+.2%}" if worst.isfinite() else "rounding"
        table.add_row(str(row.layer), str(row.nodes_before), str(row.nodes_after), *losses, increase)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error is one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tsl.prune_student", description="Prune the nodes of a student that did not specialize."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a run, with config.yaml and checkpoints/")
    parser.add_argument(
        "--by", choices=("correlation", "strength"), default="correlation", help="the score by which nodes are kept"
    )
    budget = "relative increase of the mean validation loss allowed in every replicate (default: 0.01, which is 1%%; "
    budget += "with --threshold, no limit)"
    parser.add_argument("--max-loss-increase", type=NonNegativeFloat, metavar="X", help=budget)
    parser.add_argument("--threshold", type=float, metavar="X", help="remove only nodes whose score is less than this")
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory to write (default: RUN/pruned)")
    asked = parser.parse_args(arguments)
    out = asked.out or asked.run / "pruned"
    allowed = asked.max_loss_increase
    if allowed is None and asked.threshold is None:
        allowed = 0.01
    try:
        config = read_config(asked.run)
        loaded = load_run(asked.run)
        module, validation = loaded.module, loaded.data.val_dataloader()[0]
        student, report = prune(
            *(module.student, module.teacher, validation, module.loss),
            by=asked.by,
            threshold=asked.threshold,
            max_loss_increase=allowed,
        )
        write(out, student, config)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console(highlight=False, markup=False)
    console.print(layer_table(report))
    if student.widths == module.student.widths:
        console.print("No node could be removed within the limits: raise --max-loss-increase or --threshold")
    console.print(f"continue training with: python -m tsl.fit --config {out / 'config.yaml'}", soft_wrap=True)
    return 0
