"""A statistic of an experiment, and the published number that it is compared with."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from tsl.configs import config_directory
from tsl.errors import InputError
from tsl.runs.settings import in_words


class Statistic(NamedTuple):
    """A number with its spread over seeds.

    Attributes:
        mean: Its mean over seeds, or one number of all seeds together.
        std: Standard deviation over seeds; None for one number of all seeds together.
        seeds: The number of seeds.
        digits: Format of the mean.
    """

    mean: float
    std: float | None
    seeds: int
    digits: str = ".3f"

    @property
    def in_words(self) -> str:
        """The text that tables show."""
        mean = format(self.mean, self.digits)
        return mean if self.std is None else f"{mean} ± {format(self.std, self.digits)}"


def over_seeds(values: Any, digits: str = ".3f") -> Statistic:
    """The statistic of values, one for each seed."""
    numbers = np.asarray(values, dtype=float)
    return Statistic(float(numbers.mean()), float(numbers.std(ddof=min(len(numbers) - 1, 1))), len(numbers), digits)


class Published(NamedTuple):
    """The published number or range of a statistic.

    Attributes:
        low: The least value of the range.
        high: The greatest value; equal to `low` if one number is published.
        error: The possible error of both, for example from reading them off a figure.
        source: Where they were published.
    """

    low: float
    high: float
    error: float
    source: str

    @property
    def in_words(self) -> str:
        """The text that tables show."""
        low, high = (f"{value:g}" for value in (self.low, self.high))
        if math.isinf(self.high):
            return f"at least {low}"
        return (low if low == high else f"{low} to {high}") + (f" ± {self.error:g}" if self.error else "")


def verdict(measured: Statistic, published: Published | None) -> str:
    """Whether a measured number agrees with a published one: "inside", "outside" or "no reference".

    A mean is inside if it lies in the published range, widened by its error and by two standard errors of the mean.
    """
    if published is None:
        return "no reference"
    margin = published.error + 2 * (measured.std or 0.0) / measured.seeds**0.5
    return "inside" if published.low - margin <= measured.mean <= published.high + margin else "outside"


class References:
    """The published numbers of an experiment, from `configs/published.yaml`.

    Args:
        experiment: Its name, such as "E3".
        path: Another file of the same form.

    Raises:
        InputError: If an entry of the file lacks a key.
    """

    def __init__(self, experiment: str, path: Path | None = None) -> None:
        path = path or config_directory() / "published.yaml"
        self.entries = (yaml.safe_load(path.read_text()) or {}).get(experiment, [])
        for number, entry in enumerate(self.entries, start=1):
            if missing := {"where", "statistic", "value", "error", "source"} - entry.keys():
                raise InputError(f"{path}: entry {number} of {experiment} lacks {', '.join(sorted(missing))}")

    def find(self, cell: Mapping[str, Any], statistic: str) -> Published | None:
        """The published number of a statistic of a cell; None if there is none."""
        words = {axis: in_words(value) for axis, value in cell.items()}
        for entry in self.entries:
            where = {axis: in_words(value) for axis, value in entry["where"].items()}
            if entry["statistic"] == statistic and where.items() <= words.items():
                value = entry["value"]
                low, high = value if isinstance(value, Sequence) else (value, value)
                return Published(float(low), float(high), float(entry["error"]), entry["source"])
        return None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.entries)
