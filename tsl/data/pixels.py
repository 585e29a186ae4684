"""Crops, mirrors and normalizes whole batches of images from one uint8 tensor, with no loop over images.

Letters: M images kept, B images in a batch, C channels, H rows and W columns.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

BLOCK = 2**19
"""Numbers computed at a time on a CPU, so that a block stays in the cache from one operation to the next."""


class Pixels:
    """The images that all replicates share, from which it makes a network's inputs.

    A crop is H runs of W pixels in every channel, and each run is contiguous in memory. Zeros are stored only to the
    right of an image and below it. They also pad its other sides: the zeros at the end of a row are to the left of the
    next row, and the zeros at the end of an image are above the next image.

    Args:
        images: `[M, C, H, W]` uint8.
        padding: Zeros on every side, into which crops reach.
        mean: Mean of each channel, subtracted from intensities between 0 and 1.
        std: Standard deviation of each channel, by which the result is divided.
        dtype: Precision of the inputs.
        device: Device on which the images are stored.
    """

    def __init__(
        self,
        images: Tensor,
        padding: int,
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        count, channels, height, width = images.shape
        self.shape = images.shape[1:]
        self.padding = padding
        self.pitch = width + padding
        above = padding * self.pitch + padding
        kept = torch.zeros(above + count * channels * (height + padding) * self.pitch, dtype=torch.uint8, device=device)
        planes = kept[above:].view(count, channels, height + padding, self.pitch)
        planes[..., :height, :width] = images.to(device)
        self.runs = kept.unfold(0, width, 1)
        self.run_of_image = planes.stride(0) * torch.arange(count, device=device)
        rows = torch.arange(channels, device=device)[:, None] * (height + padding) + torch.arange(height, device=device)
        self.run_of_row = self.pitch * rows.flatten()
        means, stds = (torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1) for values in (mean, std))
        self.scale = (1 / (255 * stds)).to(device, dtype)
        self.shift = (-means / stds).to(device, dtype)

    def take(self, index: Tensor, placement: Tensor | None = None) -> Tensor:
        """Images by index `[...]`, ready for a network: a new tensor `[..., C, H, W]`.

        Args:
            index: Which images.
            placement: The crop of each image, `[..., 3]`: the row and the column of the padded image at which it
                starts, and 1 if it is mirrored, otherwise 0. If None, the whole image, not mirrored.
        """
        first = self.run_of_image[index.flatten()]
        if placement is None:
            first, mirrored = first + self.padding * (self.pitch + 1), None
        else:
            top, left, mirrored = placement.flatten(end_dim=-2).long().unbind(dim=1)
            first = first + self.pitch * top + left
        inputs = self.scale.new_empty(len(first), *self.shape)
        step = max(1, BLOCK // self.shape.numel() if first.device.type == "cpu" else len(first))
        for start in range(0, len(first), step):
            block = slice(start, start + step)
            runs = first[block, None] + self.run_of_row
            images = self.runs.index_select(0, runs.flatten()).reshape(-1, *self.shape)
            if mirrored is not None:
                images = mirror(images, mirrored[block])
            inputs[block].copy_(images).mul_(self.scale).add_(self.shift)
        return inputs.unflatten(0, index.shape)


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror from left to right each image `[B, C, H, W]` whose number in `mirrored`, `[B]` int64, is 1 and not 0."""
    both = torch.cat([images, images.flip(-1)])
    return both.index_select(0, mirrored * len(images) + torch.arange(len(images), device=images.device))


def draw_placement(size: int, padding: int, flip: bool, crops: Generator, flips: Generator) -> Tensor:
    """Draw the crop of each of `size` images, all equally likely, and whether it is mirrored: `[size, 3]` int16.

    Args:
        size: Number of images.
        padding: Zeros on every side, into which crops reach.
        flip: Whether to mirror each image with probability ½.
        crops: Generator of the crops.
        flips: Generator that chooses the mirrored images.
    """
    placement = torch.zeros(size, 3, dtype=torch.int16)
    placement[:, :2] = torch.randint(2 * padding + 1, (size, 2), generator=crops)
    if flip:
        placement[:, 2] = torch.randint(2, (size,), generator=flips)
    return placement
