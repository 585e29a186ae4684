"""The outcome of a run, printed at its end: a row for each setting that differs along its replicates."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from tsl.errors import InputError
from tsl.names import FRACTION_RECOVERED, RECOVERED, VAL_ACCURACY
from tsl.replicates import MOST_SETTINGS
from tsl.runs.cost import cost_of
from tsl.runs.run import ReplicateGroup, Run
from tsl.runs.settings import in_words, names_in_words


def print_summary(directory: Path | str) -> None:
    """Print the last recorded epoch of a run, and where the run was written."""
    console = Console()
    run = Run(directory)
    console.print(layer_table(run))
    last = run.table("losses", run.recorded_epochs("losses")[-1:])
    for group in run.groups[:MOST_SETTINGS]:
        console.print(_losses_in_words(group, group.rows(last)), soft_wrap=True, highlight=False, markup=False)
    _print_end(console, run)


def print_classifier_summary(directory: Path | str) -> None:
    """Print the last and the best epoch of a Classifier's run, and where the run was written.

    Raises:
        InputError: If nothing was evaluated.
    """
    console = Console()
    run = Run(directory)
    for group in run.groups[:MOST_SETTINGS]:
        of_epochs = accuracies(directory, group.label)
        last, best = of_epochs.index[-1], of_epochs.idxmax()
        words = (
            f"validation accuracy {of_epochs.iloc[-1]:.2%} at epoch {last}, best {of_epochs.max():.2%} at epoch {best}"
        )
        console.print(f"{_begin(group)}{words} ({mean_over(group)})", soft_wrap=True, markup=False)
    file = run.path / "checkpoints" / "best.ckpt"
    if file.is_file():
        console.print(f"the networks of the best epoch: {file}", soft_wrap=True)
    _print_end(console, run)


def accuracies(run: Path | str, label: str = "") -> pd.Series:
    """The validation accuracy of a Classifier's run by epoch, the mean over replicates.

    Args:
        run: The run's directory.
        label: The `ReplicateGroup.label` of the replicates; empty for all, if only their seeds differ.

    Raises:
        InputError: If the run has no accuracy.
    """
    path = Path(run) / "metrics.csv"
    metrics = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    column = f"{VAL_ACCURACY}/{label}" if label else VAL_ACCURACY
    if column not in metrics:
        there = ", ".join(name for name in map(str, metrics) if name.startswith(f"{VAL_ACCURACY}/"))
        raise InputError(
            f"{path} has no {column}; "
            + (f"it has {there}" if there else "only evaluated runs of tsl.modules.Classifier have it")
        )
    return metrics.dropna(subset=column).set_index("epoch")[column]


def layer_table(run: Run) -> Table:
    """A table of each layer's specialization at the last recorded epoch, on validation data, for each setting."""
    layers, nodes = (
        last_epoch(run.table(table, run.recorded_epochs(table)[-1:])) for table in ("layers", "teacher_nodes")
    )
    groups = run.groups[:MOST_SETTINGS]
    table = Table(title=f"Specialization of student nodes to teacher nodes ({mean_over(*run.groups)})")
    varying = names_in_words(list(groups[0].varying)).values()
    for heading in (*varying, "layer", "ρ_mean", "null level", f"recovered at {RECOVERED}", "best node", "worst node"):
        table.add_column(heading, justify="right")
    for group in groups:
        settings = [in_words(value) for value in group.varying.values()]
        of_group = group.rows(nodes)
        for layer, rows in group.rows(layers).groupby("layer"):
            correlation = of_group[of_group["layer"] == layer].groupby("node")["best_correlation"].mean()
            table.add_row(*settings, str(layer), *_cells(rows, correlation))
            settings = [""] * len(settings)
        table.add_section()
    return table


def last_epoch(records: pd.DataFrame) -> pd.DataFrame:
    """The validation rows of the last epoch in a table."""
    records = records[records["split"] == "val"]
    return records[records["epoch"] == records["epoch"].max()]


def mean_over(*groups: ReplicateGroup) -> str:
    """Words for a mean: "mean over 4 replicates", with "of each setting" if there are several groups."""
    counts = sorted({len(group.replicates) for group in groups})
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    words = f"mean over {count} replicate{'' if counts == [1] else 's'}"
    return f"{words} of each setting" if len(groups) > 1 else words


def _cells(layers: pd.DataFrame, correlation: pd.Series) -> list[str]:
    """The measures of one layer as text, and the nodes with the highest and the lowest correlation."""
    known = correlation.dropna()  # of a student that diverged, no node has one
    extremes = [] if known.empty else [known.idxmax(), known.idxmin()]
    return [
        f"{layers['rho_mean'].mean():.4f}",
        f"{layers['rho_mean_null'].mean():.2f}" if "rho_mean_null" in layers else "",
        f"{layers[FRACTION_RECOVERED].mean():.1%}",
        *[f"{node} (ρ* {correlation[node]:.3f})" for node in extremes],
    ]


def _losses_in_words(group: ReplicateGroup, last: pd.DataFrame) -> str:
    words = (
        f"{_begin(group)}epoch {last['epoch'].iloc[0]}: train loss {last['train_loss'].mean():.3g}, "
        f"val loss {last['val_loss'].mean():.3g}, val mse {last['val_mse'].mean():.3g} ({mean_over(group)})"
    )
    if "accuracy" in last:
        words += (
            f"\naccuracy on labels {last['accuracy'].mean():.2%}, "
            f"of the teacher {last['teacher_accuracy'].mean():.2%}; "
            f"student and teacher agree on {last['teacher_agreement'].mean():.2%}"
        )
    return words


def _begin(group: ReplicateGroup) -> str:
    return f"{group.label}: " if group.label else ""


def _print_end(console: Console, run: Run) -> None:
    more = len(run.groups) - MOST_SETTINGS
    if more > 0:
        console.print(f"and {more} more settings; python -m tsl.runs {run.path} lists all", soft_wrap=True)
    if (cost := cost_of(run.path)) is not None:
        console.print(str(cost), highlight=False, soft_wrap=True)
    console.print(f"run written to {run.path}", soft_wrap=True)
