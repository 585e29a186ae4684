import builtins
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tsl.errors import InputError
from tsl.networks import External
from tsl.networks.weights import load_weights


def made(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()


SAVED = made(1)


def loads(content: Any, path: Path, key: str | None = None) -> str:
    """Load a file into another module, which then is the one that was saved; gives what was said."""
    torch.save(content, path)
    module = made(2)
    said = load_weights(module, str(path), "weights", key)
    inputs = torch.randn(5, 3)
    assert torch.equal(module(inputs), SAVED(inputs))
    return said


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "model.module._orig_mod."])
def test_prefixes_that_all_names_share_are_taken_off_and_said(
    prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = loads({prefix + name: value for name, value in SAVED.state_dict().items()}, tmp_path / "w.pt")
    assert said == f"{tmp_path / 'w.pt'}: took {prefix!r} off all names"
    with caplog.at_level(logging.WARNING):
        External(1, input_shape=[3], layers=["2"], module=made(2), weights=str(tmp_path / "w.pt"))
    assert said in caplog.text


def test_a_prefix_that_the_module_has_too_stays(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.model = made(seed)

    torch.save(Wrapped(1).state_dict(), tmp_path / "w.pt")
    module = Wrapped(2)
    assert load_weights(module, str(tmp_path / "w.pt"), "weights") == ""
    torch.testing.assert_close(module.model[0].weight, SAVED[0].weight)


@pytest.mark.parametrize("key", ["state_dict", "model", "ema"])
def test_checkpoints_name_their_key(key: str, tmp_path: Path) -> None:
    content = {key: SAVED.state_dict(), "epoch": 3}
    with pytest.raises(InputError, match=f"checkpoint that holds state dicts under {key}: choose one with weights_key"):
        loads(content, tmp_path / "w.ckpt")
    assert loads(content, tmp_path / "w.ckpt", key) == ""
    with pytest.raises(InputError, match=f"no state dict under 'epoch'; it holds some under {key}"):
        loads(content, tmp_path / "w.ckpt", "epoch")


def test_masks_of_torchs_pruning_are_multiplied_in(tmp_path: Path) -> None:
    pruned = made(1)
    prune.l1_unstructured(pruned[0], "weight", amount=5)
    torch.save(pruned.state_dict(), tmp_path / "w.pt")
    module = made(2)
    load_weights(module, str(tmp_path / "w.pt"), "weights")
    assert (module[0].weight == 0).sum() == 5
    torch.testing.assert_close(module[0].weight, SAVED[0].weight * (module[0].weight != 0))


def test_batchnorm_without_its_counter_loads(tmp_path: Path) -> None:
    assert loads({k: v for k, v in SAVED.state_dict().items() if "num_batches" not in k}, tmp_path / "w.pt") == ""


def test_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "w.safetensors")
    library.save_file(SAVED.state_dict(), path)
    module = made(2)
    load_weights(module, path, "weights")
    assert torch.equal(module[3].weight, SAVED[3].weight)
    (tmp_path / "bad.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"bad.safetensors is damaged"):
        load_weights(module, str(tmp_path / "bad.safetensors"), "weights")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="install safetensors"):
        load_weights(module, path, "weights")
