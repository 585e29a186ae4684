"""CIFAR-10, in the files that torchvision downloads."""

import pickle
import shutil
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import PositiveFloat
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, download_and_extract_archive

from tsl.data.images import ImageDataModule, ImageSet
from tsl.errors import InputError

TRAIN = [name for name, _ in CIFAR10.train_list]
TEST = [name for name, _ in CIFAR10.test_list]


class CIFAR10DataModule(ImageDataModule):
    """The 50,000 training and 10,000 test images of CIFAR-10 (Krizhevsky, 2009), 3 × 32 × 32, in 10 classes.

    See `tsl.data.ImageDataModule` for batches, splits and what is evaluated.

    Args:
        data_dir: The folder of `cifar-10-batches-py`, in torchvision's layout; downloads go there too.
        download: Download the images if `data_dir` does not hold them.
        verify: Refuse files whose MD5 sums are not the official ones. Set it to false for a copy in the same layout
            with any number of images. The files are pickles; only arrays of numbers are read from them, and no code is
            run.
        mean: Mean of each channel, subtracted from intensities between 0 and 1.
        std: Standard deviation of each channel, by which the result is divided.
        kwargs: The arguments of `tsl.data.ImageDataModule`.
    """

    def __init__(
        self,
        data_dir: str,
        download: bool = False,
        verify: bool = True,
        mean: tuple[float, float, float] = (0.4914, 0.4822, 0.4465),
        std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.2470, 0.2435, 0.2616),
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape=[3, 32, 32], mean=mean, std=std, test_size=0, **kwargs)
        self.data_dir = Path(data_dir)
        self.download = download
        self.verify = verify

    @property
    def folder(self) -> Path:
        """The folder in which torchvision stores the files."""
        return self.data_dir / CIFAR10.base_folder

    def prepare_data(self) -> None:
        """Download the images if `download` is set and they are missing; Lightning calls this in one process.

        Raises:
            InputError: If they cannot be downloaded; no file is left behind then.
        """
        if self.download and not self.folder.exists():
            download(self.data_dir)

    def read(self) -> ImageSet:
        """Read all six files; see the base class."""
        self._check_files()
        parts = [read_file(self.data_dir, name) for name in (*TRAIN, *TEST)]
        images, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return ImageSet(images, labels, test_size=len(parts[-1][1]))

    def _check_files(self) -> None:
        """Check that all files are there and, with `verify`, that they are the official ones."""
        known = dict([*CIFAR10.train_list, *CIFAR10.test_list])
        missing = [name for name in known if not (self.folder / name).is_file()]
        if missing:
            have = "remove that folder and set" if self.folder.exists() else "set"
            raise InputError(
                f"data.init_args.data_dir = {self.data_dir}: {self.folder} lacks {', '.join(missing)}; {have} "
                "data.init_args.download to true, or give the folder that holds them"
            )
        if self.verify:
            differing = [name for name, md5 in known.items() if not check_integrity(self.folder / name, md5)]
            if differing:
                raise InputError(
                    f"data.init_args.data_dir = {self.data_dir}: the MD5 sums of {', '.join(differing)} in "
                    f"{self.folder} are not the official ones. If this is a copy you trust, set data.init_args.verify "
                    "to false; if it is damaged, remove it and set data.init_args.download to true"
                )


class ArraysOnly(pickle.Unpickler):
    """Reads arrays of numbers and plain values; refuses a pickle that names anything else, before it is imported."""

    ALLOWED = ("_reconstruct", "_frombuffer", "ndarray", "dtype")

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that numpy arrays are built from; refuse every other name, because it could run code."""
        if (module, name) == ("_codecs", "encode"):  # older pickles store bytes this way
            return super().find_class(module, name)
        if module.partition(".")[0] != "numpy" or name not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, not only arrays of numbers")
        return getattr(import_module(module.replace("numpy.core", "numpy._core")), name)


def read_file(data_dir: Path, name: str) -> tuple[Tensor, Tensor]:
    """Images `[M, 3, 32, 32]` uint8 and labels `[M]` of one file.

    Raises:
        InputError: If it is damaged, or holds anything else.
    """
    path = data_dir / CIFAR10.base_folder / name
    try:
        with path.open("rb") as file:
            entry = ArraysOnly(file, encoding="latin1").load()
        images = torch.from_numpy(np.asarray(entry["data"]).reshape(-1, 3, 32, 32))
        labels = torch.tensor(entry["labels"], dtype=torch.int64)
    except Exception as error:  # what a damaged pickle raises depends on where the damage is
        cause = " ".join(str(error).split())[:200]
        raise InputError(
            f"data.init_args.data_dir: {path} is damaged, or not a CIFAR-10 file ({type(error).__name__}: {cause}); "
            "restore it, or remove the folder and set data.init_args.download to true"
        ) from error
    if images.dtype != torch.uint8 or len(labels) != len(images) or ((labels < 0) | (labels > 9)).any():
        raise InputError(
            f"data.init_args.data_dir: {path} holds {len(images)} images of type {images.dtype} and {len(labels)} "
            "labels: expected uint8 and a label from 0 to 9 for each; restore it"
        )
    return images, labels


def download(data_dir: Path) -> None:
    """Download and unpack the official archive; if this fails, no partial file is left.

    Raises:
        InputError: If it cannot be downloaded.
    """
    is_new = not data_dir.exists()
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="download-") as directory:
            download_and_extract_archive(CIFAR10.url, directory, filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)
            shutil.move(Path(directory) / CIFAR10.base_folder, data_dir / CIFAR10.base_folder)
    except Exception as error:  # errors of network, archive and disk share no base class
        if is_new:
            with suppress(OSError):
                data_dir.rmdir()
        cause = " ".join(str(error).split())[:200]
        raise InputError(
            f"data.init_args.download: {CIFAR10.url} cannot be downloaded ({cause}); no partial file was kept. Try "
            f"again, or unpack it into data.init_args.data_dir = {data_dir} yourself and set data.init_args.download "
            "to false"
        ) from error
