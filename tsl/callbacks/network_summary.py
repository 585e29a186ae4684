"""A printed table of the networks that a run has, without the metrics that Lightning counts among modules."""

from typing import Any

from pytorch_lightning.callbacks import ModelSummary
from rich.console import Console
from rich.table import Table


class NetworkSummary(ModelSummary):
    """Lightning's summary of the modules with parameters: name, class and number of parameters over all replicates."""

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        *_: Any,
        **__: Any,
    ) -> None:
        """Print the summary.

        Args:
            summary_data: Lightning's columns by their headings.
            total_parameters: The number of parameters over all replicates.
            trainable_parameters: The number of trained parameters over all replicates.
        """
        columns = dict(summary_data)
        table = Table("network", "class", box=None, padding=(0, 2, 0, 0))
        table.add_column("parameters", justify="right")
        for name, kind, parameters in zip(columns["Name"], columns["Type"], columns["Params"], strict=True):
            if parameters.strip() != "0":
                table.add_row(name, kind, parameters.strip())
        console = Console()
        console.print(table)
        console.print(f"{trainable_parameters:,} of {total_parameters:,} parameters are trained", highlight=False)
