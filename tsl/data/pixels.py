"""Whole batches of images made of one uint8 tensor: cropped, mirrored and normalized, with no loop over images.

Letters: M images kept, B images in a batch, C channels, H rows and W columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 2**19
"""Numbers made at a time on a CPU, so that a block stays in the cache from one operation to the next."""


class Pixels:
    """The images that all replicates share, and how they become a network's inputs.

    Args:
        images: `[M, C, H, W]` uint8.
        mean: What is subtracted from each channel, of intensities between 0 and 1.
        std: What each channel is divided by then.
        dtype: Of the inputs.
    """

    def __init__(self, images: Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype) -> None:
        self.images = images
        means, stds = (torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1) for values in (mean, std))
        self.scale = (1 / (255 * stds)).to(images.device, dtype)
        self.shift = (-means / stds).to(images.device, dtype)

    def take(self, rows: Tensor, placement: Tensor | None = None, padding: int = 0) -> Tensor:
        """Images by index `[...]`, ready for a network, `[..., C, H, W]`.

        Args:
            rows: Which images.
            placement: How each is placed, `[..., 3]`: the top and left of its crop, and 1 where it is mirrored (see
                `crop_and_mirror`). As it is where None.
            padding: Zeros on every side, into which crops reach.
        """
        index = rows.flatten()
        inputs = self.scale.new_empty(len(index), *self.images.shape[1:])
        size = max(1, BLOCK // self.images[0].numel() if self.images.device.type == "cpu" else len(index))
        for start in range(0, len(index), size):
            block = slice(start, start + size)
            images = self.images.index_select(0, index[block])
            if placement is not None:
                top, left, mirrored = placement.flatten(end_dim=-2)[block].long().unbind(dim=1)
                images = crop_and_mirror(images, top, left, mirrored, padding)
            inputs[block].copy_(images).mul_(self.scale).add_(self.shift)
        return inputs.unflatten(0, rows.shape)


def crop_and_mirror(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, padding: int) -> Tensor:
    """Crop every image to its own size out of itself with zeros around it, then mirror some from left to right.

    A crop is made of runs of W pixels, which lie one behind the other in memory; those of a mirrored crop are runs of
    the mirrored image.

    Args:
        images: `[B, C, H, W]`.
        top: Row at which each crop starts, from 0 to 2 · padding, `[B]` int64.
        left: Column at which it starts, likewise.
        mirrored: 1 where the crop is mirrored, 0 where not, `[B]` int64.
        padding: Rows and columns of zeros on every side.
    """
    count, channels, height, width = images.shape
    canvas = pad(torch.cat([images, images.flip(-1)]), [padding] * 4)
    left = torch.where(mirrored.bool(), 2 * padding - left, left)
    image = mirrored * count + torch.arange(count, device=images.device)
    plane = image[:, None] * channels + torch.arange(channels, device=images.device)
    row = (plane * canvas.shape[2] + top[:, None])[..., None] + torch.arange(height, device=images.device)
    start = row * canvas.shape[3] + left[:, None, None]
    runs = canvas.flatten().unfold(0, width, 1)
    return runs.index_select(0, start.flatten()).reshape(images.shape)


def draw_placement(size: int, padding: int, mirror: bool, crops: torch.Generator, flips: torch.Generator) -> Tensor:
    """A crop for each of `size` images, all equally likely, and for one in two that it is mirrored, `[size, 3]` int16.

    Args:
        size: Number of images.
        padding: Zeros on every side, into which crops reach.
        mirror: Whether images are mirrored at all.
        crops: Draws the crops.
        flips: Draws which images are mirrored.
    """
    placement = torch.zeros(size, 3, dtype=torch.int16)
    placement[:, :2] = torch.randint(2 * padding + 1, (size, 2), generator=crops)
    if mirror:
        placement[:, 2] = torch.randint(2, (size,), generator=flips)
    return placement
