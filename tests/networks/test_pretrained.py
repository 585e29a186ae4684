import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.classifiers import train
from tsl.errors import InputError
from tsl.networks import MLP, Pretrained, load_network, save_network

INPUTS = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1))


def test_what_is_saved_is_loaded(make_network: Callable[..., MLP], tmp_path: Path) -> None:
    network = make_network(batch_norm="after", negative_slope=0.1, batch_norm_affine=False).float().eval()
    save_network(network, tmp_path / "file.pt")
    for loaded in (load_network(tmp_path / "file.pt"), Pretrained(2, checkpoint=str(tmp_path / "file.pt"))):
        assert type(loaded) is MLP
        assert loaded.init_args == network.init_args
        assert torch.equal(loaded.eval()(INPUTS), network(INPUTS))
    saved = torch.load(tmp_path / "file.pt", weights_only=True)
    assert saved["class_path"] == "tsl.networks.mlp.MLP"
    assert "replicates" not in saved["init_args"]


def test_one_network_serves_all_replicates(make_network: Callable[..., MLP], tmp_path: Path) -> None:
    network = make_network(replicates=1).float().eval()
    save_network(network, tmp_path / "file.pt")
    many = load_network(tmp_path / "file.pt", replicates=2).eval()
    outputs = torch.cat([network(INPUTS[r : r + 1]) for r in range(2)])
    torch.testing.assert_close(many(INPUTS), outputs, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        many.layers[0].weight[0] = 0  # no replicate shares memory with another
    assert many.layers[0].weight[1].any()


def test_the_checkpoint_of_a_classifiers_run(tmp_path: Path) -> None:
    checkpoint = train(tmp_path, "--trainer.max_epochs", "1") / "version_0/checkpoints/last.ckpt"
    loaded = load_network(checkpoint)
    assert (type(loaded), loaded.widths, loaded.replicates) == (MLP, [8], 2)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(loaded.layers[1].weight, weights["network.layers.1.weight"].float())
    stray = checkpoint.rename(tmp_path / "stray.ckpt")
    with pytest.raises(InputError, match=r"stray.ckpt is of a run, but .*config.yaml does not name its network"):
        load_network(stray)


def damaged(path: Path) -> None:
    path.write_bytes(b"no weights")


def bare(path: Path) -> None:
    torch.save({"layers.0.weight": torch.ones(2, 3)}, path)


def other(path: Path, **changes: object) -> None:
    saved = torch.load(path, weights_only=True)
    torch.save(saved | changes, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, r"checkpoint: .*file.pt is damaged, or holds more than tensors: "),
        (bare, r"file.pt holds no network with its settings \(class_path, init_args, state_dict\)"),
        (Path.unlink, r"checkpoint: .*file.pt: no such file. Give one that tsl.prune_teacher wrote"),
        (
            partial(other, init_args={"input_dim": 5, "widths": [4, 8], "output_dim": 3}),
            r"file.pt does not fit the settings in it: .*size mismatch for layers.1.weight",
        ),
        (partial(other, init_args={"widths": [4, 7]}), r"file.pt names a network that cannot be made: .*input_dim"),
        (partial(other, class_path="tsl.data.Gaussian"), r"file.pt names a network that cannot be made: "),
        (partial(other, class_path="torch.nn.Linear"), r"file.pt names torch.nn.Linear, which is no network of tsl"),
        (partial(other, class_path=["x"]), r"file.pt names \['x'\], which is no network of tsl"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    make_network: Callable[..., MLP], tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    save_network(make_network(), tmp_path / "file.pt")
    spoil(tmp_path / "file.pt")
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "file.pt")


class Mine(MLP):
    """A network from elsewhere, of a module that is imported."""


def test_a_network_of_ones_own_is_loaded_and_a_module_that_only_a_file_names_is_not_imported(
    make_network: Callable[..., MLP], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "of_mine", SimpleNamespace(Mine=Mine))
    monkeypatch.setattr(Mine, "__module__", "of_mine")
    save_network(make_network(), tmp_path / "file.pt")
    other(tmp_path / "file.pt", class_path="of_mine.Mine")
    assert type(load_network(tmp_path / "file.pt")) is Mine
    (tmp_path / "spiteful.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    other(tmp_path / "file.pt", class_path="spiteful.Mine")
    with pytest.raises(InputError, match=r"names spiteful\.Mine, .*import its module before"):
        load_network(tmp_path / "file.pt")
    assert not (tmp_path / "ran").exists()


def test_another_number_of_replicates_is_refused(make_network: Callable[..., MLP], tmp_path: Path) -> None:
    save_network(make_network(replicates=2), tmp_path / "file.pt")
    with pytest.raises(InputError, match="holds 2 networks, but replicates = 3: set --replicates 2"):
        load_network(tmp_path / "file.pt", replicates=3)
