"""Your own images, in a folder for each class."""

from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from tsl.data.images import ImageDataModule, ImageSet
from tsl.errors import InputError


class ImageFolderDataModule(ImageDataModule):
    """Images from a tree with a folder for each class, in any format and of any size, as torchvision's ImageFolder.

    Classes are numbered in the order of their names. Every image is read once, in RGB, scaled until it covers `size`
    and cut to it around its middle. See `tsl.data.ImageDataModule` for batches, splits and what is evaluated.

    Args:
        data_dir: The folder that holds a folder for each class.
        size: Rows and columns of the images, one number if they are the same.
        test_size: Images held out for the test, drawn by seed.
        mean: Mean of each channel, subtracted from intensities between 0 and 1; ImageNet's unless given.
        std: Standard deviation of each channel, by which they are divided then; ImageNet's unless given.
        kwargs: What every DataModule of images takes.
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
        try:
            dataset = ImageFolder(str(self.data_dir), transform=self._fitted)
        except FileNotFoundError as error:  # no class, or a class with no images: torchvision's message names it
            raise InputError(
                f"data.init_args.data_dir = {self.data_dir}: {error}. Expected a folder for each class, with images "
                "in it"
            ) from error
        images = torch.empty(len(dataset), *self.input_shape, dtype=torch.uint8)
        for row, (path, _) in enumerate(dataset.samples):
            try:
                images[row], _ = dataset[row]
            except Exception as error:  # Pillow's, which depend on the format and on the damage
                cause = " ".join(str(error).split())[:200]
                raise InputError(
                    f"data.init_args.data_dir = {self.data_dir}: the image {path} cannot be read ({cause}): "
                    "restore it, or take it out"
                ) from error
        return ImageSet(images, torch.tensor(dataset.targets))

    def _fitted(self, image: Image.Image) -> torch.Tensor:
        """`[3, H, W]` uint8."""
        _, height, width = self.input_shape
        return pil_to_tensor(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
