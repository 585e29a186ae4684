import builtins
from typing import Any

import pytest
from torch import nn

from tsl.errors import InputError
from tsl.networks.elsewhere import imported_module, named_model

A_MODULE = nn.ReLU()


def makes_text() -> str:
    return "text"


def test_models_by_name_and_by_import_path() -> None:
    assert type(named_model("resnet18", "A")).__module__ == "torchvision.models.resnet"
    assert type(named_model("torchvision/resnet18", "A")).__module__ == "torchvision.models.resnet"
    assert isinstance(imported_module("torchvision.models.resnet18", "A"), nn.Module)
    assert imported_module(f"{__name__}.A_MODULE", "A") is not None


def test_timm() -> None:
    pytest.importorskip("timm")
    assert type(named_model("timm/resnet18", "A")).__module__.startswith("timm")
    assert type(named_model("vit_tiny_patch16_224", "A")).__module__.startswith("timm")


def test_names_that_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"A = resnet19: no such model; nearest: .*resnet18"):
        named_model("resnet19", "A")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "timm":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="install timm"):
        named_model("timm/resnet18", "A")
    with pytest.raises(InputError, match="timm, which has more, is not installed"):
        named_model("resnet19", "A")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.at.all", "nowhere.at.all cannot be imported"),
        ("torch.nn.Nothing", "cannot be imported"),
        ("torch.nn.Linear", "cannot be made without arguments"),
        (f"{__name__}.makes_text", "gives a str: expected an nn.Module"),
    ],
)
def test_paths_that_make_no_module(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        imported_module(path, "A")
