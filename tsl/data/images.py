"""The base class of DataModules of images. All replicates make their batches from one uint8 tensor on the device.

Letters: R replicates, M images, N images of one replicate's split, C channels, H rows and W columns.
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from tsl.data.augmentation import Augmentation
from tsl.data.data_module import DataModule
from tsl.data.loaders import EvaluationLoader, MinibatchSampler
from tsl.data.pixels import Pixels, draw_placement
from tsl.data.samples import Samples, gather
from tsl.data.sizes import check_evaluated_together
from tsl.errors import InputError
from tsl.randomness import replicate_generators
from tsl.replicates import PerReplicate, per_replicate


class ImageSet(NamedTuple):
    """Images as they were read.

    Attributes:
        images: `[M, C, H, W]` uint8.
        labels: Their classes, counted from 0, `[M]` int64.
        test_size: The data set's own test set is the last `test_size` images.
        val_size: The data set's own validation set is the `val_size` images before those.
    """

    images: Tensor
    labels: Tensor
    test_size: int = 0
    val_size: int = 0


class ImageDataModule(DataModule):
    """Labelled images, split into training, validation and test images for every replicate by its own seed.

    Training batches are chunks of K minibatches, `Labelled` inputs `[K, R, B, C, H, W]` and labels `[K, R, B]`;
    evaluation batches are inputs `[R, B, C, H, W]` and labels `[R, B]`. Training images are cropped and mirrored at
    random, newly in every epoch, and then normalized; the theorem's augmentation is applied to the result.
    Evaluated images are neither cropped nor mirrored.

    `fit` evaluates the validation images, as split "val", and `test` the test images. If no validation images are
    held out, `fit` evaluates the test images, as the paper does; do not choose settings by these results.

    Args:
        input_shape: Channels, rows and columns of an image.
        mean: Mean of each channel, subtracted from intensities between 0 and 1.
        std: Standard deviation of each channel, by which the result is divided.
        val_size: Images held out of the training images for validation, drawn by seed.
        test_size: Images held out for the test, drawn by seed.
        train_size: Training images of every replicate, drawn by seed from those that are not held out, or a list that
            repeats along the replicates; all that are not held out if not given.
        crop_padding: Zeros added on every side of a training image before it is cropped at random to its own size; 0
            for no crops.
        flip: Mirror each training image from left to right with probability ½.
        augmentation: Makes a larger training set from the training images (the theorem's augmentation). Its distances
            are in units of the normalized images. Evaluation images are never augmented.
        batch_size: Training samples in a minibatch.
        steps_per_epoch: Minibatches in an epoch; if not given, as many as the training samples fill.
        evaluate_train: Evaluate on the training images as well, with `augmentation` but neither cropped nor mirrored.
        chunk_size: Minibatches handed to the module at a time; it affects only speed and memory.
        eval_batch_size: Images in an evaluation batch; it affects only speed and memory.
        replicates: Number R of independent experiments.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
    """

    labelled: ClassVar[bool] = True

    def __init__(
        self,
        *,
        input_shape: list[int],
        mean: tuple[float, float, float],
        std: tuple[PositiveFloat, PositiveFloat, PositiveFloat],
        val_size: NonNegativeInt = 0,
        test_size: NonNegativeInt = 0,
        train_size: PerReplicate[PositiveInt] | None = None,
        crop_padding: NonNegativeInt = 0,
        flip: bool = False,
        augmentation: Augmentation | None = None,
        batch_size: PositiveInt = 128,
        steps_per_epoch: PositiveInt | None = None,
        evaluate_train: bool = False,
        chunk_size: PositiveInt = 10,
        eval_batch_size: PositiveInt = 500,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt | list[NonNegativeInt] = 0,
    ) -> None:
        super().__init__(
            input_shape,
            replicates=replicates,
            seed=seed,
            evaluate_train=evaluate_train,
            eval_batch_size=eval_batch_size,
        )
        self.mean, self.std = mean, std
        self.val_size = val_size
        self.test_size = test_size
        self.train_size = train_size
        self._requested_sizes = (
            None if train_size is None else per_replicate(train_size, replicates, "data.init_args.train_size")
        )
        self.crop_padding = crop_padding
        self.flip = flip
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.chunk_size = chunk_size
        self.variants = 1 if augmentation is None else augmentation.variants(tuple(input_shape))
        if evaluate_train and self._requested_sizes is not None:
            check_evaluated_together(self._requested_sizes)
        self._pixels: Pixels
        self._labels: Tensor
        self._rows: dict[str, Tensor] = {}
        self._train_samples: Samples | None = None
        self._evaluated_train_samples: Samples | None = None
        self._placement: Tensor | None = None

    @abstractmethod
    def read(self) -> ImageSet:
        """Read all images, of `input_shape`.

        Raises:
            InputError: If the images cannot be read. The message names the file or folder, and the remedy.
        """

    def draw(self, stage: str, dtype: torch.dtype, device: torch.device) -> None:
        """Read the images and split them; see the base class."""
        images, labels, *official = self.read()
        self._pixels = Pixels(images, self.crop_padding, self.mean, self.std, dtype, device)
        self._labels = labels.to(device)
        sizes = self._split(len(images), *official)
        self._check_epoch(min(sizes) * self.variants)
        self.sampler = MinibatchSampler(
            sizes,
            self.batch_size,
            variants=self.variants,
            steps_per_epoch=self.steps_per_epoch,
            chunk_size=self.chunk_size,
            seed=self.seed,
        )

    def teardown(self, stage: str) -> None:
        """Free the images."""
        del self._pixels, self._labels
        self._rows = {}
        self._train_samples = self._evaluated_train_samples = self._placement = None

    def val_samples(self) -> Samples:
        """The validation images, or the test images if no validation images are held out."""
        return self._plain(self._rows["val"])

    def evaluated_train_samples(self) -> Samples:
        """The training samples, neither cropped nor mirrored."""
        if self._evaluated_train_samples is None:
            self._evaluated_train_samples = self._augmented(self._plain(self._rows["train"]))
        return self._evaluated_train_samples

    def test_dataloader(self) -> EvaluationLoader:
        """The test images.

        Raises:
            InputError: If there are none.
        """
        if not self._rows["test"].shape[1]:
            raise InputError("there are no test images: set data.init_args.test_size to hold out some")
        return self._evaluation("test", lambda: self._plain(self._rows["test"]))

    def train_samples(self, epoch: int) -> Samples:
        """The training samples of an epoch counted from 0."""
        rows = self._rows["train"]
        if self.crop_padding or self.flip:
            self._placement = self._placed(epoch)
        if self._train_samples is None:  # once for all epochs: a rotation takes long to make

            def cropped(index: Tensor, variant: Tensor) -> Tensor:
                placement = None if self._placement is None else gather(self._placement, index)
                return self._pixels.take(gather(rows, index), placement)

            self._train_samples = self._augmented(Samples(rows, cropped, labels=self._labels[rows]))
        return self._train_samples

    def conditioning_inputs(self) -> list[Tensor]:
        """The inputs `[N, C · H · W]` that each replicate's teacher is conditioned on: training images, not augmented.

        At most 5,000 images are used; they give a node's median to within 1 % of the images.
        """
        return [
            self._pixels.take(rows[: min(size, 5000)]).flatten(1)
            for rows, size in zip(self._rows["train"], self.train_sizes, strict=True)
        ]

    def _split(self, count: int, official_test: int, official_val: int) -> list[int]:
        """Choose the training, validation and test images of each replicate, `[R, N]` each.

        Args:
            count: Number of all images, including the data set's own test and validation sets.
            official_test: Number of images in the data set's own test set.
            official_val: Number of images in the data set's own validation set.

        Returns:
            The number of training images of every replicate.

        Raises:
            InputError: If there are too few images for the sizes in the config.
        """
        pool = count - official_val - official_test
        held_out = self.val_size + self.test_size
        left = pool - held_out
        if left < 1:
            raise InputError(
                f"data.init_args.val_size = {self.val_size}, test_size = {self.test_size}: none of the "
                f"{pool} images is left to train on; lower them"
            )
        sizes = self._requested_sizes or [left] * self.replicates
        if max(sizes) > left:
            raise InputError(
                f"data.init_args.train_size = {max(sizes)}, but {left} of {pool} images are left when "
                f"{held_out} are held out: lower train_size or val_size, or leave train_size out to use all of "
                "them"
            )
        generators = replicate_generators("split", self.seed, self.replicates)
        order = torch.stack([torch.randperm(pool, generator=generator) for generator in generators])
        val, test, train = order.split([self.val_size, self.test_size, left], dim=1)
        if official_test:
            test = torch.arange(count - official_test, count).expand(self.replicates, -1)
        if official_val:
            val = torch.arange(pool, pool + official_val).expand(self.replicates, -1)
        val = val if val.shape[1] else test
        if not val.shape[1]:
            raise InputError("no images are held out to evaluate: set data.init_args.val_size")
        rows = {"train": train[:, : max(sizes)], "val": val, "test": test}
        self._rows = {split: index.to(self._labels.device) for split, index in rows.items()}
        return sizes

    def _check_epoch(self, fewest: int) -> None:
        """Check that the replicate with the fewest training samples has enough for an epoch.

        Raises:
            InputError: If it has fewer.
        """
        needed = self.batch_size * (self.steps_per_epoch or 1)
        if needed > fewest:
            raise InputError(
                f"data.init_args.batch_size = {self.batch_size} times {self.steps_per_epoch or 1} steps an epoch needs "
                f"{needed} training samples, but there are {fewest}: lower data.init_args.batch_size or "
                "steps_per_epoch, or use more images for training (data.init_args.train_size, val_size)"
            )

    def _plain(self, rows: Tensor) -> Samples:
        """The images in these rows, `[R, N]`, normalized but neither cropped nor mirrored."""
        return Samples(rows, lambda index, variant: self._pixels.take(gather(rows, index)), labels=self._labels[rows])

    def _augmented(self, samples: Samples) -> Samples:
        """Augment the samples. Call it only when training begins: `draw` comes before the teacher is made."""
        if self.augmentation is None:
            return samples
        generators = replicate_generators("augmentation", self.seed, self.replicates)
        return self.augmentation(samples, generators, self.teacher)

    def _placed(self, epoch: int) -> Tensor:
        """The crops and mirrorings of one epoch, `[R, N, 3]`; replicates with fewer images are padded with zeros."""
        crops, flips = (
            replicate_generators(purpose, self.seed, self.replicates, epoch) for purpose in ("crops", "flips")
        )
        placement = torch.zeros(self.replicates, max(self.train_sizes), 3, dtype=torch.int16)
        for replicate, size in enumerate(self.train_sizes):
            draws = draw_placement(size, self.crop_padding, self.flip, crops[replicate], flips[replicate])
            placement[replicate, :size] = draws
        return placement.to(self._labels.device)
