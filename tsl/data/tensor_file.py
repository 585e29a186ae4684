"""Your own inputs, from a file."""

import contextlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Generator, Tensor

from tsl.data.distributions import BLOCK, KEY, InputDistribution
from tsl.errors import InputError

SUFFIXES = (".npy", ".npz", ".pt", ".pth")


class TensorFile(InputDistribution):
    """Rows of a table of numbers in a numpy or torch file, drawn at random without replacement.

    Every replicate draws from the same rows, separately. Training and evaluation inputs are also drawn separately, so
    give the two ranges of rows that do not overlap. Only numbers are loaded; a file that holds other objects is
    refused.

    Args:
        path: A `.npy`, `.npz`, `.pt` or `.pth` file, with a row for each input and a column for each input dimension.
        key: Name of the array in a `.npz` file, or of the entry of a dictionary in a `.pt` file; not needed if there
            is only one.
        start: First row to draw from, counted from 0.
        stop: Row before which to stop; the number of rows if not given.

    Raises:
        InputError: If the file is missing, damaged, or does not hold a table of finite real numbers with these rows.
    """

    finite: ClassVar[bool] = True

    def __init__(
        self, path: str, key: str | None = None, start: NonNegativeInt = 0, stop: PositiveInt | None = None
    ) -> None:
        self.path = path
        table = self._read(key)
        if table.ndim != 2:
            raise InputError(
                f"{KEY}.path = {path} holds an array of shape {list(table.shape)}: expected [inputs, dimensions]"
            )
        if table.dtype.kind not in "fiu":
            raise InputError(f"{KEY}.path = {path} holds values of type {table.dtype}: expected real numbers")
        stop = len(table) if stop is None else stop
        if not start < stop <= len(table):
            raise InputError(
                f"{KEY}.start = {start}, stop = {stop}: expected start < stop ≤ {len(table)}, the rows of {path}"
            )
        self.rows = table[start:stop]
        step = max(1, BLOCK // max(1, table.shape[1]))  # in blocks: the file may be larger than memory
        for first in range(0, len(self.rows), step):
            finite = np.isfinite(self.rows[first : first + step]).all(axis=1)
            if not finite.all():
                row = start + first + int(finite.argmin())
                raise InputError(f"{KEY}.path = {path} has a NaN or infinite number in row {row}: remove that row")

    def sample(self, count: int, dim: int, generator: Generator) -> Tensor:
        """Draw `[count, dim]`; see the base class.

        Raises:
            InputError: If there are fewer rows than `count`, or not `dim` columns.
        """
        size, columns = self.rows.shape
        if columns != dim:
            raise InputError(
                f"data.init_args.dim = {dim}, but {self.path} has {columns} columns: set data.init_args.dim and "
                f"model.init_args.teacher.init_args.input_dim to {columns}"
            )
        if count > size:
            raise InputError(
                f"{count} inputs are needed, but {self.path} has {size} rows to draw from: lower "
                f"data.init_args.train_size or val_size, or widen {KEY}.start and stop"
            )
        chosen = torch.randperm(size, generator=generator)[:count].numpy()
        return torch.from_numpy(self.rows[chosen].astype(np.float64))

    def _read(self, key: str | None) -> np.ndarray[Any, Any]:
        path = Path(self.path)
        if path.suffix not in SUFFIXES:
            raise InputError(f"{KEY}.path = {path}: expected a file that ends in {', '.join(SUFFIXES)}")
        if not path.is_file():
            raise InputError(f"{KEY}.path = {path}: no such file")
        try:
            if path.suffix == ".npy":
                content: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            elif path.suffix == ".npz":
                with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                    content = dict(archive)
            else:
                content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged file raises depends on where the damage is
            cause = " ".join(str(error).split())[:200]
            raise InputError(
                f"{KEY}.path = {path} is damaged, not a {path.suffix} file, or holds more than numbers: {cause}"
            ) from error
        return _numbers(self._entry(content, key))

    def _entry(self, content: Any, key: str | None) -> Any:
        if not isinstance(content, dict):
            if key is not None:
                raise InputError(f"{KEY}.key = {key}: {self.path} holds a single array; leave the key out")
            return content
        names = ", ".join(map(str, content))
        if key is None and len(content) != 1:
            raise InputError(f"{KEY}.key: {self.path} holds {names or 'nothing'}; set the key to one of them")
        if key is not None and key not in content:
            raise InputError(f"{KEY}.key = {key}: no such array; {self.path} holds {names or 'nothing'}")
        return next(iter(content.values())) if key is None else content[key]


def _numbers(entry: Any) -> np.ndarray[Any, Any]:
    """The content as a numpy array. Other content gives an empty array of dtype object, which the caller refuses."""
    if isinstance(entry, np.ndarray):
        return entry
    if isinstance(entry, Tensor) and entry.layout == torch.strided and not entry.is_quantized:
        entry = entry.detach().resolve_conj().resolve_neg()
        with contextlib.suppress(TypeError, RuntimeError):  # numpy lacks some of torch's types
            return (entry.float() if entry.dtype == torch.bfloat16 else entry).numpy()
    return np.empty((0, 0), dtype=object)
