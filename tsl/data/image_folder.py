"""Your own images, in a folder for each class."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.functional import pil_to_tensor

from tsl.data.images import ImageDataModule, ImageSet
from tsl.errors import InputError

SPLITS = ("train", "val", "test")
"""Names of folders that are read as splits if `train` and one of the others exist."""

OTHER_SPLITS = {*SPLITS, "training", "valid", "validation", "testing"}
"""Folder names that are common for splits and must not be read as names of classes."""

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes that Pillow converts to RGB and whose values, or palette values, have at most 8 bits."""


class ImageFolderDataModule(ImageDataModule):
    """Images of any format and size in a folder for each class, as in torchvision's ImageFolder.

    Classes are numbered in the order of their names; files and folders whose names begin with a dot are left out.
    Every image is read once and converted to RGB by `read_rgb`. It is then scaled until it covers `size`, and cropped
    around its middle. See `tsl.data.ImageDataModule` for batches, splits and what is evaluated.

    Args:
        data_dir: The folder that holds a folder for each class. It may instead hold the folders train, val and test,
            each with a folder for each class, for training, validation and test images; val or test may be missing.
        size: Rows and columns of the images, one number if they are the same.
        test_size: Images held out for the test, drawn by seed.
        mean: Mean of each channel, subtracted from intensities between 0 and 1; ImageNet's unless given.
        std: Standard deviation of each channel, by which the result is divided; ImageNet's unless given.
        kwargs: The arguments of `tsl.data.ImageDataModule`.
    """

    def __init__(
        self,
        data_dir: str,
        size: PositiveInt | tuple[PositiveInt, PositiveInt],
        test_size: NonNegativeInt = 0,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225),
        **kwargs: Any,
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        super().__init__(input_shape=[3, height, width], mean=mean, std=std, test_size=test_size, **kwargs)
        self.data_dir = Path(data_dir)

    def read(self) -> ImageSet:
        """Read and scale every image; see the base class."""
        if not self.data_dir.is_dir():
            raise InputError(f"data.init_args.data_dir = {self.data_dir}: no such folder")
        train, val, test = (self.data_dir / name for name in SPLITS)
        if not train.is_dir() or not (val.is_dir() or test.is_dir()):
            return self._set(self._folder(self.data_dir))
        given = {"val_size": val.is_dir() and self.val_size, "test_size": test.is_dir() and self.test_size}
        if any(given.values()):
            names = " and ".join(f"{key} = {size}" for key, size in given.items() if size)
            raise InputError(
                f"data.init_args.{names}, but {self.data_dir} has its own folders for that (among "
                f"{', '.join(SPLITS)}): leave the setting out"
            )
        of_train = self._folder(train)
        held_out = [self._folder(folder, of_train) if folder.is_dir() else None for folder in (val, test)]
        return self._set(of_train, *held_out)

    def _folder(self, path: Path, like: ImageFolder | None = None) -> ImageFolder:
        """The images below `path`; their classes must be those of `like`, if given."""
        try:
            dataset = VisibleImages(
                str(path), transform=self._fitted, loader=read_rgb, is_valid_file=partial(is_image, folder=path)
            )
        except FileNotFoundError as error:  # torchvision's message names the class without images, if any
            raise InputError(
                f"data.init_args.data_dir = {self.data_dir}: {error}. Expected a folder for each class, with images "
                "in it"
            ) from error
        if len(OTHER_SPLITS.intersection(name.lower() for name in dataset.classes)) > 1:
            raise InputError(
                f"data.init_args.data_dir = {path} holds splits ({', '.join(dataset.classes)}), but a folder for each "
                f"class is expected: give one of them, such as {path / dataset.classes[0]}, or name them train, val "
                "and test"
            )
        if like is not None and dataset.classes != like.classes:
            other = sorted({*dataset.classes} ^ {*like.classes})
            raise InputError(
                f"data.init_args.data_dir = {self.data_dir}: {path.name} has other classes than train: "
                f"{', '.join(other[:5])}. Expected the same folders in both"
            )
        return dataset

    def _set(self, *datasets: ImageFolder | None) -> ImageSet:
        """Read the training, validation and test images, in this order."""
        there = [dataset for dataset in datasets if dataset is not None]
        samples = [(dataset, index) for dataset in there for index in range(len(dataset))]
        images = torch.empty(len(samples), *self.input_shape, dtype=torch.uint8)
        for row, (dataset, index) in enumerate(samples):
            try:
                images[row], _ = dataset[index]
            except Exception as error:  # Pillow's errors depend on the format and on the damage
                cause = " ".join(str(error).split())[:200]
                raise InputError(
                    f"data.init_args.data_dir = {self.data_dir}: the image {dataset.samples[index][0]} cannot be read "
                    f"({cause}): restore it, or remove it"
                ) from error
        labels = torch.tensor([label for dataset in there for label in dataset.targets])
        _, val_size, test_size = (0 if dataset is None else len(dataset) for dataset in (*datasets, None, None)[:3])
        return ImageSet(images, labels, test_size, val_size)

    def _fitted(self, image: Image.Image) -> torch.Tensor:
        """The image scaled and cropped to the input shape, `[3, H, W]` uint8."""
        _, height, width = self.input_shape
        return pil_to_tensor(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))


def is_image(path: str, folder: Path) -> bool:
    """Whether a file below a class's folder is an image, not hidden and not in a hidden folder."""
    inside = Path(path).relative_to(folder).parts
    return path.lower().endswith(IMG_EXTENSIONS) and not any(part.startswith(".") for part in inside)


class VisibleImages(ImageFolder):
    """An image folder that ignores folders whose names begin with a dot, such as .ipynb_checkpoints."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """The names of the classes, and their numbers in that order."""
        names = sorted(path.name for path in Path(directory).iterdir() if path.is_dir() and path.name[0] != ".")
        if not names:
            raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
        return names, {name: number for number, name in enumerate(names)}


def read_rgb(path: str) -> Image.Image:
    """The first picture of a file in RGB, 8 bits a channel, turned upright by its EXIF orientation.

    Grey images of 16 bits are divided by 257, so that black stays black and white stays white. Colour profiles are
    ignored.

    Raises:
        ValueError: If its values have no known range, or it has transparent pixels, whose colour is undefined.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in ("PNG", "PPM")):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode not in EIGHT_BITS:
        raise ValueError(
            f"its mode is {image.mode}, whose values have no fixed range: expected at most 8 bits a channel, or 16 "
            "bits of grey; convert it"
        )
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError("it has transparent pixels: put it on a background")
    return image.convert("RGB")
