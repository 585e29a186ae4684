import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fitting import TINY
from tsl.data import TensorFile
from tsl.errors import InputError
from tsl.fit import main
from tsl.randomness import generator

TABLE = np.arange(30.0).reshape(10, 3)  # row i begins with 3 i


def draw(file: TensorFile, count: int = 10, seed: int = 0) -> torch.Tensor:
    return file.sample(count, 3, generator("train_inputs", seed))


def save(path: Path, content: Any) -> str:
    """Write a file in the format of its suffix."""
    if path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        torch.save(content, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("a.npy", TABLE, None),
        ("a.npy", TABLE.astype(">f4"), None),
        ("a.npy", TABLE.astype(np.uint8), None),
        ("a.npz", {"x": TABLE}, None),
        ("a.npz", {"x": TABLE, "labels": np.zeros(10)}, "x"),
        ("a.pt", torch.tensor(TABLE), None),
        ("a.pth", torch.nn.Parameter(torch.tensor(TABLE, dtype=torch.bfloat16)), None),
        ("a.pt", {"x": torch.tensor(TABLE).half(), "labels": torch.zeros(10)}, "x"),
    ],
)
def test_all_rows_come_once_in_float64_and_in_another_order_for_each_seed(
    tmp_path: Path, name: str, content: Any, key: str | None
) -> None:
    file = TensorFile(save(tmp_path / name, content), key)
    first, second = draw(file), draw(file, seed=1)
    assert first.dtype == torch.float64
    assert sorted(first.tolist()) == TABLE.tolist()
    assert sorted(second.tolist()) == TABLE.tolist()
    assert len({str(sample.tolist()) for sample in (first, second, torch.tensor(TABLE))}) == 3
    assert torch.equal(first, draw(file))


def test_start_and_stop_choose_the_rows(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", TABLE)
    assert sorted(draw(TensorFile(path, start=2, stop=6), 4)[:, 0].tolist()) == [6, 9, 12, 15]
    assert sorted(draw(TensorFile(path, start=7), 3)[:, 0].tolist()) == [21, 24, 27]
    firsts = [draw(TensorFile(path, start=2, stop=6), 1, seed)[0, 0].item() for seed in range(40)]
    assert set(firsts) == {6, 9, 12, 15}


def with_number(row: int, number: float) -> np.ndarray[Any, Any]:
    table = np.zeros((400_000, 3))
    table[row, 1] = number
    return table


@pytest.mark.parametrize(
    ("name", "content", "arguments", "expected"),
    [
        ("a.npy", np.zeros(5), {}, r"init_args.path = .*a.npy holds an array of shape \[5\]: expected \[inputs, dim"),
        ("a.npy", np.zeros((2, 3, 4)), {}, r"shape \[2, 3, 4\]"),
        ("a.npy", np.zeros((2, 3), dtype=complex), {}, "holds values of type complex128: expected real numbers"),
        ("a.npy", np.array([["a", "b"]]), {}, "holds values of type <U1: expected real numbers"),
        ("a.npy", np.zeros((2, 3), dtype=bool), {}, "holds values of type bool"),
        ("a.npy", np.array([[None, 1]], dtype=object), {}, "holds more than numbers: .*Python objects"),
        ("a.npy", with_number(390_000, np.nan), {}, "has a NaN or infinite number in row 390000: remove that row"),
        ("a.npy", with_number(390_000, np.inf), {"start": 389_990}, "infinite number in row 390000"),
        ("a.npy", TABLE, {"key": "x"}, "init_args.key = x: .* holds a single array; leave the key out"),
        ("a.npy", TABLE, {"start": 10}, "init_args.start = 10, stop = 10: expected start < stop ≤ 10, the rows of"),
        ("a.npy", TABLE, {"stop": 11}, "start = 0, stop = 11"),
        ("a.npz", {"x": TABLE, "y": TABLE}, {}, "init_args.key: .*a.npz holds x, y; set the key to one of them"),
        ("a.npz", {"x": TABLE}, {"key": "z"}, "init_args.key = z: .*a.npz holds x"),
        ("a.npz", {}, {}, "holds nothing; set the key to one of them"),
        ("a.pt", {"x": "words"}, {}, "holds values of type object: expected real numbers"),
        ("a.pt", torch.eye(3).to_sparse(), {}, "holds values of type object"),
        ("a.pt", torch.ones(2, 3).bool(), {}, "holds values of type bool"),
        ("a.csv", None, {}, "expected a file that ends in .npy, .npz, .pt, .pth"),
        ("missing.npy", None, {}, "init_args.path = .*missing.npy: no such file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state", "ignore:.*sparse")
def test_what_is_no_table_of_numbers_is_refused(
    tmp_path: Path, name: str, content: Any, arguments: dict[str, Any], expected: str
) -> None:
    path = tmp_path / name
    if content is not None:
        save(path, content)
    with pytest.raises(InputError, match=expected) as refusal:
        TensorFile(str(path), **arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt"])
@pytest.mark.parametrize("kept", [0, 5, 70, 150, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: int) -> None:
    content: dict[str, Any] = {"a.npy": TABLE, "a.npz": {"x": TABLE}, "a.pt": torch.tensor(TABLE)}
    path = tmp_path / name
    save(path, content[name])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=f"init_args.path = .*{name} is damaged, not a .* file, or holds more than"
    ) as told:
        TensorFile(str(path))
    assert "\n" not in str(told.value)


class Spy:
    """An object that, when it is unpickled, leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt", "old.pt"])
def test_a_file_cannot_run_code(tmp_path: Path, name: str) -> None:
    path, trace = tmp_path / name, tmp_path / "trace"
    spy = np.array([[Spy(trace)]], dtype=object)
    if name == "old.pt":
        path.write_bytes(pickle.dumps(Spy(trace)))
    else:
        save(path, {"x": spy} if name == "a.npz" else Spy(trace) if name == "a.pt" else spy)
    with pytest.raises(InputError, match="holds more than numbers"):
        TensorFile(str(path))
    assert not trace.exists()


def test_more_rows_or_other_dimensions_than_there_are(tmp_path: Path) -> None:
    file = TensorFile(save(tmp_path / "a.npy", TABLE), start=4)
    with pytest.raises(InputError, match=r"7 inputs are needed, but .*a.npy has 6 rows to draw from: .* val_size"):
        draw(file, 7)
    with pytest.raises(InputError, match=r"data.init_args.dim = 2, but .*a.npy has 3 columns: set .*input_dim to 3"):
        file.sample(1, 2, generator("train_inputs", 0))


@pytest.mark.parametrize("columns", [6, 7])
def test_a_mistake_ends_a_run_with_one_message(
    tmp_path: Path, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.npy", np.full((99, columns), np.nan if columns == 6 else 0.0))
    config = tmp_path / "file.yaml"
    file = f"{{class_path: tsl.data.TensorFile, init_args: {{path: {path}}}}}"
    config.write_text(f"data: {{init_args: {{distribution: {file}, val_distribution: {file}}}}}")
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--config", str(config), "--trainer.default_root_dir", str(tmp_path)])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert ("NaN or infinite number in row 0" if columns == 6 else "has 7 columns") in told
