"""Whole batches against torchvision's transforms of one image at a time."""

from collections import Counter
from itertools import product

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from tsl.data import pixels
from tsl.data.pixels import Pixels, draw_placement

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def some_images(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def kept(images: Tensor, padding: int, dtype: torch.dtype = torch.float64) -> Pixels:
    channels = images.shape[1]
    return Pixels(images, padding, MEAN[:channels], STD[:channels], dtype, torch.device("cpu"))


def normalized(image: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    scaled = functional.to_dtype(image, dtype, scale=True)
    return functional.normalize(scaled, list(MEAN[: len(image)]), list(STD[: len(image)]))


@pytest.mark.parametrize(
    ("shape", "padding"), [((2, 3, 8, 8), 4), ((2, 1, 5, 3), 2), ((2, 3, 1, 4), 3), ((2, 3, 4, 4), 0)]
)
def test_every_crop_mirrored_or_not_is_torchvisions(shape: tuple[int, ...], padding: int) -> None:
    images = some_images(*shape)
    places = torch.tensor(
        list(product(range(len(images)), range(2 * padding + 1), range(2 * padding + 1), (0, 1)))
    )  # (image, top, left, mirrored)
    batch = kept(images, padding).take(places[:, 0], places[:, 1:])
    for (image, top, left, mirrored), made in zip(places.tolist(), batch, strict=True):
        padded = functional.pad(images[image], [padding] * 4)
        expected = functional.crop(padded, top, left, *shape[2:])
        expected = functional.horizontal_flip(expected) if mirrored else expected
        torch.testing.assert_close(made, normalized(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-14), (torch.bfloat16, 0.05)])
def test_images_as_they_are_are_normalized_as_torchvision_does(dtype: torch.dtype, atol: float) -> None:
    images = some_images(7, 3, 6, 5)
    index = torch.tensor([[3, 0, 0], [6, 2, 5]])
    batch = kept(images, 4, dtype).take(index)
    assert batch.dtype == dtype
    expected = torch.stack([normalized(images[row]) for row in index.flatten().tolist()]).unflatten(0, (2, 3))
    torch.testing.assert_close(batch.double(), expected, rtol=0, atol=atol)


def test_no_image_at_all_has_a_shape() -> None:
    assert kept(some_images(4, 3, 6, 5), 2).take(torch.empty(3, 0, dtype=torch.int64)).shape == (3, 0, 3, 6, 5)


def test_blocks_do_not_change_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    images, index = some_images(9, 3, 6, 5), torch.randint(9, (4, 5))
    placement = draw_placement(20, 2, True, torch.Generator(), torch.Generator()).unflatten(0, (4, 5))
    whole = kept(images, 2).take(index, placement)
    for block in (1, 3 * 90, 10**9):
        monkeypatch.setattr(pixels, "BLOCK", block)
        assert torch.equal(kept(images, 2).take(index, placement), whole)


def test_crops_and_mirroring_are_uniform_and_independent() -> None:
    count, padding = 40_000, 2
    generators = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    top, left, mirrored = draw_placement(count, padding, True, *generators).long().unbind(dim=1)
    cells = ((top * 5 + left) * 2 + mirrored).bincount(minlength=50)
    assert chisquare(cells).pvalue > 1e-3
    assert len(cells) == 50


def test_crops_and_mirroring_are_distributed_as_torchvisions() -> None:
    image, count = some_images(1, 1, 3, 3), 1000
    generators = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    placement = draw_placement(count, 1, True, *generators)
    batch = kept(image, 1).take(torch.zeros(count, dtype=torch.int64), placement)
    torch.manual_seed(0)
    transform = v2.Compose([v2.RandomCrop(3, padding=1), v2.RandomHorizontalFlip()])
    ours = Counter(str(made.tolist()) for made in batch.float())
    theirs = Counter(str(normalized(transform(image[0])).float().tolist()) for _ in range(count))
    assert len(ours) == 18
    assert ours.keys() == theirs.keys()
    assert chi2_contingency([[counts[made] for made in ours] for counts in (ours, theirs)]).pvalue > 1e-3


def test_without_flips_the_crops_are_the_same() -> None:
    def drawn(flip: bool) -> Tensor:
        return draw_placement(50, 4, flip, torch.Generator().manual_seed(1), torch.Generator().manual_seed(2))

    assert torch.equal(drawn(False)[:, :2], drawn(True)[:, :2])
    assert not drawn(False)[:, 2].any()
    assert drawn(True)[:, 2].any()
