"""Files as torchvision lays them out: read as torchvision reads them, refused where something is wrong with them."""

import hashlib
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10
from torchvision.datasets import utils as torchvision_utils

from tests.data.image_files import cifar10, ready, write_cifar10
from tsl.data import CIFAR10DataModule
from tsl.errors import InputError
from tsl.fit import main

UNPACK = Path(__file__).parents[3] / "shared/cifar10/unpack.py"
BATCHES = "cifar-10-batches-py"


def make_official(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Let the files in `data_dir` be those that torchvision knows the MD5 sums of."""
    for known in ("train_list", "test_list"):
        sums = [
            [name, hashlib.md5((data_dir / BATCHES / name).read_bytes()).hexdigest()]
            for name, _ in getattr(CIFAR10, known)
        ]
        monkeypatch.setattr(CIFAR10, known, sums)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An archive of the small files in tmp_path / "source", which is the official one and is served at its address."""
    write_cifar10(tmp_path / "source")
    archive = tmp_path / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "source" / BATCHES, BATCHES)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    make_official(monkeypatch, tmp_path / "source")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield archive
        server.shutdown()


def test_images_and_labels_are_those_in_the_files(tmp_path: Path) -> None:
    images, labels = write_cifar10(tmp_path, train=23, test=7)
    read = cifar10(tmp_path).read()
    assert np.array_equal(read.images.numpy(), images)
    assert read.labels.tolist() == labels
    assert read.test_size == 7


@pytest.mark.skipif(not UNPACK.is_file(), reason="the real images do not lie beside the checkout")
def test_real_images(tmp_path: Path) -> None:
    subprocess.run([sys.executable, UNPACK, tmp_path, "--train", "200", "--test", "50"], check=True, timeout=60)
    with pytest.raises(InputError, match=r"set data.init_args.verify to false"):
        ready(CIFAR10DataModule(str(tmp_path)))
    data = ready(CIFAR10DataModule(str(tmp_path), verify=False))
    [chunk] = data.train_dataloader()
    assert chunk.inputs.shape == (1, 1, 128, 3, 32, 32)
    inputs = data.train_samples(0)[:].double()
    torch.testing.assert_close(inputs.mean(), torch.zeros((), dtype=torch.float64), rtol=0, atol=0.15)
    torch.testing.assert_close(inputs.std(), torch.ones((), dtype=torch.float64), rtol=0, atol=0.15)
    assert data._labels.bincount().tolist() == [25] * 10


def test_official_files_are_accepted_and_others_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path)
    make_official(monkeypatch, tmp_path)
    ready(cifar10(tmp_path, verify=True))
    path = tmp_path / BATCHES / "data_batch_3"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"MD5 sums of data_batch_3 in .* copy you trust, set data.init_args.verify"):
        ready(cifar10(tmp_path, verify=True))
    ready(cifar10(tmp_path))


@pytest.mark.parametrize("verify", [True, False])
def test_missing_files(tmp_path: Path, verify: bool) -> None:
    with pytest.raises(InputError, match=r"lacks data_batch_1, .*, test_batch; set data.init_args.download to true"):
        ready(cifar10(tmp_path / "nowhere", verify=verify))
    assert not list(tmp_path.iterdir())
    write_cifar10(tmp_path)
    (tmp_path / BATCHES / "data_batch_4").unlink()
    with pytest.raises(InputError, match=r"lacks data_batch_4; remove that folder and set data.init_args.download"):
        ready(cifar10(tmp_path, verify=verify, download=True))


def test_a_folder_of_which_files_are_missing_is_not_written_over(tmp_path: Path, archive: Path) -> None:
    shutil.copytree(tmp_path / "source", tmp_path / "data")
    (tmp_path / "data" / BATCHES / "data_batch_4").unlink()
    with pytest.raises(InputError, match="lacks data_batch_4; remove that folder"):
        ready(cifar10(tmp_path / "data", verify=True, download=True))


def entry(**changes: Any) -> bytes:
    good = {"data": np.zeros((4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]}
    return pickle.dumps(good | changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"data_batch_2 is damaged, or not a CIFAR-10 file \(EOFError"),
        (entry()[:5000], r"data_batch_2 is damaged, or not a CIFAR-10 file \(UnpicklingError"),
        (b"\x89PNG no pickle", r"data_batch_2 is damaged, or not a CIFAR-10 file"),
        (pickle.dumps([1, 2]), r"data_batch_2 is damaged, or not a CIFAR-10 file"),
        (pickle.dumps({"data": np.zeros((4, 3072), dtype=np.uint8)}), r"not a CIFAR-10 file \(KeyError"),
        (entry(data=np.zeros((4, 3071), dtype=np.uint8)), r"data_batch_2 is damaged, or not a CIFAR-10 file"),
        (entry(data=np.zeros((4, 3072))), r"data_batch_2 holds 4 images of type torch.float64 and 4 labels"),
        (entry(labels=[1, 2, 3]), r"data_batch_2 holds 4 images of type torch.uint8 and 3 labels: expected uint8"),
        (entry(labels=[0, 1, 2, 10]), r"data_batch_2 holds .* a label from 0 to 9 for each"),
        (entry(labels=[0, 1, 2, -1]), r"data_batch_2 holds .* a label from 0 to 9 for each"),
        (entry(labels=["cat"] * 4), r"data_batch_2 is damaged, or not a CIFAR-10 file"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    write_cifar10(tmp_path)
    (tmp_path / BATCHES / "data_batch_2").write_bytes(content)
    with pytest.raises(InputError, match=message):
        ready(cifar10(tmp_path))


class Spiteful:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
def test_no_code_of_a_file_is_run(tmp_path: Path, protocol: int) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / BATCHES / "data_batch_2"
    good = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(good, protocol))
    assert len(cifar10(tmp_path).read().images) == 70
    for bad in (good | {"more": Spiteful(tmp_path / "ran")}, good | {"data": np.array([Spiteful(tmp_path / "ran")])}):
        path.write_bytes(pickle.dumps(bad, protocol))
        with pytest.raises(InputError, match=r"UnpicklingError: it holds [\w.]+, not only arrays of numbers"):
            cifar10(tmp_path).read()
    assert not (tmp_path / "ran").exists()


def test_a_file_without_images_is_none_of_the_training_images(tmp_path: Path) -> None:
    write_cifar10(tmp_path, train=3, test=2)
    assert ready(cifar10(tmp_path, batch_size=3)).train_sizes == [3]


def test_downloads_once(tmp_path: Path, archive: Path) -> None:
    data_dir = tmp_path / "deep/data"
    data = ready(cifar10(data_dir, verify=True, download=True))
    assert data.train_sizes == [50]
    assert [path.name for path in data_dir.iterdir()] == [BATCHES]  # no archive, no temporary folder
    archive.unlink()
    ready(cifar10(data_dir, verify=True, download=True))


def half_written(url: str, filename: str, chunk_size: int = 0) -> None:
    Path(filename).write_bytes(b"half of it")
    raise ConnectionResetError("the line went dead")


def no_network(url: str, max_hops: int = 3) -> str:
    raise OSError("Name or service not known")


def other_content(url: str, filename: str, chunk_size: int = 0) -> None:
    Path(filename).write_bytes(b"a login page")


@pytest.mark.parametrize(
    ("function", "failure", "message"),
    [
        (
            "_get_redirect_url",
            no_network,
            r"cannot be downloaded \(Name or service not known\); no partial file was kept",
        ),
        ("_urlretrieve", half_written, r"cannot be downloaded \(the line went dead\); no partial file was kept"),
        (
            "_urlretrieve",
            other_content,
            r"cannot be downloaded \(File not found or corrupted.\); no partial file was kept",
        ),
    ],
)
def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    failure: Callable[..., Any],
    message: str,
) -> None:
    monkeypatch.setattr(torchvision_utils, function, failure)
    with pytest.raises(InputError, match=message):
        ready(cifar10(tmp_path / "data", download=True))
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").touch()
    with pytest.raises(InputError, match=r"set data.init_args.download to false"):
        ready(cifar10(tmp_path / "data", download=True))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]


def test_the_command_line_ends_with_the_message_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cifar10(tmp_path)
    config = Path(__file__).parents[2] / "configs/two_layer.yaml"
    arguments = ["--trainer.default_root_dir", str(tmp_path / "runs"), "--trainer.accelerator", "cpu"]
    arguments += ["--data.class_path", "tsl.data.CIFAR10DataModule", "--data.init_args.data_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        main(["--config", str(config), *arguments])
    message = capsys.readouterr().err
    assert "set data.init_args.verify to false" in message
    assert "Traceback" not in message
    assert not list(tmp_path.glob("runs/**/*.yaml"))
