"""Images of any format and size, a folder for each class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from tests.data.image_files import ready, write_folders
from tsl.data import ImageFolderDataModule
from tsl.errors import InputError

SIZES = {"cat": [(8, 8), (16, 8), (8, 20)], "dog": [(32, 32), (9, 13), (8, 8), (40, 10)]}


def folder_data(root: Path, **settings: Any) -> ImageFolderDataModule:
    return ImageFolderDataModule(str(root), **({"size": 8, "val_size": 2, "batch_size": 2} | settings))


def test_classes_are_numbered_by_name_and_splits_share_the_images_out(tmp_path: Path) -> None:
    write_folders(tmp_path, SIZES)
    data = ready(folder_data(tmp_path, test_size=1, replicates=3))
    assert data.train_sizes == [4] * 3
    assert data.read().labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    for replicate in range(3):
        rows = [data._rows[split][replicate].tolist() for split in ("train", "val", "test")]
        assert [len(part) for part in rows] == [4, 2, 1]
        assert sorted(row for part in rows for row in part) == list(range(7))
    assert next(iter(data.test_dataloader())).inputs.shape == (3, 1, 3, 8, 8)
    chunk = next(iter(data.train_dataloader()))
    assert (chunk.inputs.shape, chunk.labels.shape) == ((2, 3, 2, 3, 8, 8), (2, 3, 2))


@pytest.mark.parametrize("size", [8, (8, 12), (12, 8)])
def test_images_are_scaled_to_cover_the_size_and_cut_around_the_middle(tmp_path: Path, size: Any) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = np.mgrid[:24, :48].astype(np.uint8)
    pixels = np.stack([columns * 5, rows * 10, rows + columns])
    (tmp_path / "only").mkdir()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "only/wide.png")
    [image] = folder_data(tmp_path, size=size).read().images
    assert image.shape == (3, height, width)
    scale = max(height / 24, width / 48)
    scaled = [round(24 * scale), round(48 * scale)]
    expected = functional.center_crop(
        functional.resize(torch.from_numpy(pixels), scaled, antialias=True), [height, width]
    )
    assert (image.int() - expected.int()).abs().max() <= 2  # Pillow rounds after each direction


def test_an_image_of_that_size_is_kept_as_it_is(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": [(12, 8)]})
    [image] = folder_data(tmp_path, size=(8, 12)).read().images
    expected = np.asarray(Image.open(tmp_path / "cat/0.png")).transpose(2, 0, 1)
    assert np.array_equal(image.numpy(), expected)


def test_other_formats_and_colours_are_read_in_rgb(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    grey = Image.fromarray(np.full((8, 8), 77, dtype=np.uint8))
    for name in ("grey.png", "photo.jpg", "picture.bmp"):
        grey.save(tmp_path / "cat" / name)
    grey.convert("P").save(tmp_path / "cat/palette.png")
    grey.convert("RGBA").save(tmp_path / "cat/transparent.webp", lossless=True)
    images = folder_data(tmp_path).read().images
    assert len(images) == 5
    assert (images.int() - 77).abs().max() <= 1


RAMP = np.arange(64).reshape(8, 8)
"""Every value of a grey ramp once, of which an image has a multiple."""


def saved(root: Path, image: Image.Image, name: str, **options: Any) -> Path:
    (root / "cat").mkdir()
    image.save(root / "cat" / name, **options)
    return root


def grey(values: np.ndarray) -> np.ndarray:
    """What an image of a class is to be: three channels of these values."""
    return np.broadcast_to(values, (3, 8, 8))


@pytest.mark.parametrize("name", ["ramp.png", "ramp.tif", "ramp.pgm"])
def test_grey_images_of_16_bits_are_scaled_to_8(tmp_path: Path, name: str) -> None:
    values = (RAMP * 65535 / 63).round().astype(np.uint16)
    [image] = folder_data(saved(tmp_path, Image.fromarray(values), name)).read().images
    assert np.abs(image.numpy() - grey(RAMP * 255 / 63)).max() <= 0.51


@pytest.mark.parametrize(
    ("mode", "name", "tolerance"),
    [
        *(("1", "ramp.png", 0), ("L", "ramp.png", 0), ("LA", "ramp.png", 0), ("P", "ramp.png", 0)),
        *(("RGB", "ramp.png", 0), ("RGBA", "ramp.png", 0), ("RGBX", "ramp.tif", 0), ("CMYK", "ramp.tif", 0)),
        *(("PA", "ramp.tif", 0), ("YCbCr", "ramp.tif", 1), ("I;16B", "ramp.tif", 0)),
    ],
)
def test_a_grey_ramp_is_the_same_in_every_mode_that_says_its_range(
    tmp_path: Path, mode: str, name: str, tolerance: int
) -> None:
    values = (RAMP * 4).astype(np.uint8)
    if mode == "1":
        values = (values > 128).astype(np.uint8) * 255
    image = Image.fromarray(values)
    if mode == "I;16B":
        image = Image.frombytes(mode, (8, 8), (values.astype(">u2") * 257).tobytes())
    image = image.convert("RGB") if mode in ("RGBX", "CMYK", "YCbCr") else image
    [read] = folder_data(saved(tmp_path, image.convert(mode), name)).read().images
    assert np.abs(read.numpy().astype(int) - grey(values)).max() <= tolerance


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_a_mode_without_a_fixed_range_is_refused(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (8, 8))
    with pytest.raises(InputError, match=rf"cat/x\.tif cannot be read \(its mode is {mode}, .*convert it\)"):
        folder_data(saved(tmp_path, image, "x.tif")).read()


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_pixels_are_refused(tmp_path: Path, mode: str) -> None:
    image = Image.new("L" if mode == "P" else mode, (8, 8))
    if mode == "P":
        image = image.convert("P")
        image.info["transparency"] = 0
    with pytest.raises(InputError, match=r"cat/x\.png cannot be read \(it has transparent pixels: put it on a backg"):
        folder_data(saved(tmp_path, image, "x.png")).read()


ORIENTED = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(np.transpose(image), 2),
    8: np.rot90,
}
"""What a camera means by its EXIF orientation: how the stored rows and columns are to be turned."""


@pytest.mark.parametrize("orientation", ORIENTED)
def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = (RAMP * 4).astype(np.uint8)
    [image] = folder_data(saved(tmp_path, Image.fromarray(values), "x.png", exif=exif)).read().images
    assert np.array_equal(image.numpy(), grey(ORIENTED[orientation](values)))


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / ".cache"
    write_folders(root, SIZES | {".ipynb_checkpoints": [(8, 8)], "cat/.ipynb_checkpoints": [(8, 8)]})
    (root / "dog/._0.png").write_bytes(b"what a Mac writes beside 0.png")
    assert folder_data(root).read().labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("names", [("Test", "Train"), ("training", "validation", "more"), ("val", "test")])
def test_a_folder_of_splits_by_other_names_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_folders(tmp_path, {f"{name}/cat": [(8, 8)] for name in names})
    with pytest.raises(InputError, match=rf"holds splits \(.*{names[0]}.*give one of them, .*name them train, val"):
        folder_data(tmp_path).read()


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    write_folders(tmp_path, {"plane": [(8, 8)], "train": [(8, 8)]})
    assert folder_data(tmp_path).read().labels.tolist() == [0, 1]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data.init_args.data_dir = .*nowhere: no such folder"):
        ready(folder_data(tmp_path / "nowhere"))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Couldn't find any class folder in .* Expected a folder for each class"):
        ready(folder_data(tmp_path))


def test_a_class_without_images(tmp_path: Path) -> None:
    write_folders(tmp_path, SIZES | {"emu": []})
    (tmp_path / "emu/notes.txt").touch()
    with pytest.raises(InputError, match=r"no valid file for the classes emu\. .* with images in it"):
        ready(folder_data(tmp_path))


@pytest.mark.parametrize("kept", [0, 40])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, kept: int) -> None:
    write_folders(tmp_path, SIZES)
    path = tmp_path / "dog/1.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"the image .*dog/1\.png cannot be read \(.*: restore it, or remove it"):
        ready(folder_data(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_size": 6, "test_size": 1}, r"val_size = 6, test_size = 1: none of the 7 images is left to train on"),
        ({"val_size": 0}, "no images are held out to evaluate: set data.init_args.val_size"),
        ({"batch_size": 6}, "batch_size = 6 times 1 steps an epoch needs 6 training samples, but there are 5"),
    ],
)
def test_more_images_than_there_are(tmp_path: Path, settings: dict[str, int], message: str) -> None:
    write_folders(tmp_path, SIZES)
    with pytest.raises(InputError, match=message):
        ready(folder_data(tmp_path, **settings))


def test_no_test_images(tmp_path: Path) -> None:
    write_folders(tmp_path, SIZES)
    with pytest.raises(InputError, match=r"set data.init_args.test_size"):
        ready(folder_data(tmp_path), stage="test").test_dataloader()


def write_splits(root: Path, **counts: dict[str, int]) -> None:
    """Images of one shade for each split and number, `counts` by split and class."""
    for shade, (split, classes) in enumerate(counts.items(), start=1):
        for name, count in classes.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((8, 8, 3), 50 * shade + number, dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")


@pytest.mark.parametrize("splits", [("train", "val"), ("train", "test"), ("train", "val", "test")])
def test_folders_of_splits_are_no_classes(splits: tuple[str, ...], tmp_path: Path) -> None:
    write_splits(tmp_path, **{split: {"cat": 4, "dog": 3} for split in splits})
    data = ready(folder_data(tmp_path, val_size=0, replicates=2, mean=(0, 0, 0), std=(1, 1, 1)))
    assert data.train_sizes == [7, 7]
    images, labels, *_ = data.read()
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1] * len(splits)
    shades = {split: 50 * shade for shade, split in enumerate(splits, start=1)}
    evaluated = {"val": shades.get("val", shades.get("test")), "test": shades.get("test")}
    for split, shade in {"train": shades["train"], **evaluated}.items():
        for rows in data._rows[split]:
            found = images[rows, 0, 0, 0]
            assert len(found) == (7 if shade else 0)
            assert shade is None or ((found >= shade) & (found < shade + 4)).all()


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        (
            {"train": {"cat": 4}, "val": {"cat": 2}},
            {"val_size": 2},
            "val_size = 2, but .* has its own folders for that",
        ),
        (
            {"train": {"cat": 4}, "test": {"cat": 2}},
            {"val_size": 0, "test_size": 1},
            "test_size = 1, but .* has its own folders",
        ),
        (
            {"train": {"cat": 4, "dog": 4}, "val": {"cat": 2, "emu": 2}},
            {"val_size": 0},
            "val has other classes than train: dog, emu. Expected the same folders in both",
        ),
        ({"train": {}, "val": {}}, {"val_size": 0}, "Expected a folder for each class"),
    ],
)
def test_splits_that_are_refused(
    counts: dict[str, dict[str, int]], settings: dict[str, int], message: str, tmp_path: Path
) -> None:
    write_splits(tmp_path, **counts)
    for split in counts:
        (tmp_path / split).mkdir(exist_ok=True)
    with pytest.raises(InputError, match=message):
        folder_data(tmp_path, **settings).read()


def test_validation_images_of_train_beside_a_test_folder(tmp_path: Path) -> None:
    write_splits(tmp_path, train={"cat": 4, "dog": 3}, test={"cat": 2, "dog": 2})
    data = ready(folder_data(tmp_path, val_size=2))
    assert data.train_sizes == [5]
    assert [data._rows[split].shape[1] for split in ("val", "test")] == [2, 4]
