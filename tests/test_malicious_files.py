"""A pickle in a file from elsewhere is refused in one message, and no code in it runs, wherever the file is given.

`tests/runs/test_resume.py` has the same for checkpoints of runs, `tests/data` for TensorFile and CIFAR-10.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tsl.compare.sources import tensor_of_file
from tsl.errors import InputError
from tsl.modules.teacher_of_run import teacher_weights
from tsl.networks import MLP, External, FromFile, Pretrained


class Spy:
    """An object that, when it is unpickled, leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


class Plain(nn.Module):
    """A network from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs)


READERS: dict[str, Callable[[str], Any]] = {
    "External": lambda path: External(input_shape=[3], layers=["layer"], module=Plain(), weights=path),
    "Pretrained": lambda path: Pretrained(1, checkpoint=path),
    "FromFile": lambda path: FromFile(path)(MLP(1, input_dim=3, widths=[2], output_dim=1), []),
    "a run or an artifact of W&B": lambda path: teacher_weights(Path(path)),
    "inputs of tsl compare": lambda path: tensor_of_file(Path(path)),
}


@pytest.mark.parametrize("where", ["whole", "beside weights"])
@pytest.mark.parametrize("reader", READERS)
def test_no_code_in_a_file_is_run(reader: str, where: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "network.pt", tmp_path / "trace"
    if where == "whole":
        path.write_bytes(pickle.dumps(Spy(trace)))
    else:
        torch.save({"state_dict": Plain().state_dict(), "layer.weight": torch.zeros(2, 3), "more": Spy(trace)}, path)
    with pytest.raises(InputError, match=r"network\.pt") as told:
        READERS[reader](str(path))
    assert "\n" not in str(told.value)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Spy(trace)))  # it is one that would have
    assert trace.exists()
