from pathlib import Path

import pytest
import torch

from tsl.errors import InputError
from tsl.tensor_files import read_tensors


def test_tensors_and_plain_values_are_read(tmp_path: Path) -> None:
    torch.save({"weights": torch.arange(3), "epoch": 4}, tmp_path / "file.pt")
    content = read_tensors(tmp_path / "file.pt", keys=["weights", "epoch"])
    assert (content["weights"].tolist(), content["epoch"]) == ([0, 1, 2], 4)


@pytest.mark.parametrize("content", [{"epoch": 4}, [1, 2]])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(InputError, match=r"file.pt holds no state_dict, epoch: expected a checkpoint that tsl"):
        read_tensors(tmp_path / "file.pt", keys=["state_dict", "epoch"])


def test_what_is_damaged_or_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save(Path("an object"), tmp_path / "object.pt")
    with pytest.raises(InputError, match=r"^--some.key = object.pt is damaged, or holds more than tensors: "):
        read_tensors(tmp_path / "object.pt", "--some.key = object.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "object.pt").read_bytes()[:50])
    with pytest.raises(InputError, match=r"half.pt is damaged, or holds more than tensors: "):
        read_tensors(tmp_path / "half.pt")
