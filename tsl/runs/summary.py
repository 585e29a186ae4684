"""The outcome of a run, told to the person who started it."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from tsl.errors import InputError
from tsl.runs.records import read_table


def print_summary(run: str) -> None:
    """Print the last recorded epoch of a run, and where the run was written."""
    console = Console()
    console.print(layer_table(run))
    losses = read_table(run, "losses")
    last = losses[losses["epoch"] == losses["epoch"].max()]
    console.print(
        f"epoch {last['epoch'].iloc[0]}: train loss {last['train_loss'].mean():.3g}, "
        f"val loss {last['val_loss'].mean():.3g}, val mse {last['val_mse'].mean():.3g} "
        f"(mean over {len(last)} replicates)",
        soft_wrap=True,
    )
    if "accuracy" in last:
        console.print(
            f"accuracy on labels {last['accuracy'].mean():.2%}, of the teacher {last['teacher_accuracy'].mean():.2%}; "
            f"student and teacher agree on {last['teacher_agreement'].mean():.2%}"
        )
    console.print(f"run written to {run}", soft_wrap=True)


def print_classifier_summary(run: str) -> None:
    """Print the last epoch of a Classifier's run and its best, and where the run was written.

    Raises:
        InputError: If nothing was evaluated.
    """
    console = Console()
    of_epochs = accuracies(run)
    last, best = of_epochs.index[-1], of_epochs.idxmax()
    console.print(
        f"validation accuracy {of_epochs.iloc[-1]:.2%} at epoch {last}, best {of_epochs.max():.2%} at epoch {best}"
    )
    file = Path(run) / "checkpoints" / "best.ckpt"
    if file.is_file():
        console.print(f"the networks of the best epoch: {file}", soft_wrap=True)
    console.print(f"run written to {run}", soft_wrap=True)


def accuracies(run: Path | str) -> pd.Series:
    """The validation accuracy of a Classifier's run by epoch, the mean over replicates.

    Raises:
        InputError: If there is none.
    """
    path = Path(run) / "metrics.csv"
    metrics = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    if "val/accuracy" not in metrics:
        raise InputError(f"{path} tells no val/accuracy: that is of a run of tsl.modules.Classifier, once evaluated")
    return metrics.dropna(subset="val/accuracy").set_index("epoch")["val/accuracy"]


def layer_table(run: str) -> Table:
    """How far each layer has specialized at the last recorded epoch of a run, on validation data."""
    layers, nodes = (last_epoch(read_table(run, table)) for table in ("layers", "teacher_nodes"))
    table = Table(title="Specialization of student nodes to teacher nodes")
    for heading in ("layer", "ρ_mean", "null level", "recovered at 0.95", "best node", "worst node"):
        table.add_column(heading, justify="right")
    for layer, rows in layers.groupby("layer"):
        correlation = nodes[nodes["layer"] == layer].groupby("node")["best_correlation"].mean()
        best, worst = correlation.idxmax(), correlation.idxmin()
        table.add_row(
            str(layer),
            f"{rows['rho_mean'].mean():.4f}",
            f"{rows['rho_mean_null'].mean():.2f}" if "rho_mean_null" in rows else "",
            f"{rows['recovered_fraction_0.95'].mean():.1%}",
            f"{best} (ρ* {correlation[best]:.3f})",
            f"{worst} (ρ* {correlation[worst]:.3f})",
        )
    return table


def last_epoch(records: pd.DataFrame) -> pd.DataFrame:
    """The validation rows of the last epoch in a table."""
    records = records[records["split"] == "val"]
    return records[records["epoch"] == records["epoch"].max()]
