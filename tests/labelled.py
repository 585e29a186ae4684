"""Tiny labelled images, for tests that need no real ones."""

import torch

from tsl.data import DataModule, Labelled, MinibatchSampler, Samples

EVALUATION_BATCH = 20


class TinyImages(DataModule):
    """Noisy copies of one random image for each of 3 classes, the same for all replicates."""

    labelled = True

    def __init__(
        self,
        shape: list[int] | None = None,
        train_size: int = 96,
        val_size: int = 48,
        batch_size: int = 16,
        chunk_size: int = 4,
        noise: float = 1.0,
        replicates: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(shape or [2, 8, 8], replicates=replicates, seed=seed, eval_batch_size=EVALUATION_BATCH)
        self.train_size, self.val_size, self.noise = train_size, val_size, noise
        self.sampler = MinibatchSampler([train_size] * replicates, batch_size, chunk_size=chunk_size, seed=seed)

    def images(self, size: int, seed: int) -> Labelled:
        drawn = torch.Generator().manual_seed(0)
        centres = torch.randn(3, *self.input_shape, generator=drawn)
        drawn.manual_seed(seed)
        labels = torch.arange(size) % 3
        noise = torch.randn(size, *self.input_shape, generator=drawn)
        return Labelled(centres[labels] + self.noise * noise, labels)

    def draw(self, stage: str, dtype: torch.dtype, device: torch.device) -> None:
        self._samples = []
        for size, seed in ((self.train_size, 1), (self.val_size, 2)):
            images, labels = (values.expand(self.replicates, *values.shape) for values in self.images(size, seed))
            self._samples.append(Samples(images.to(device, dtype), labels=labels.to(device)))

    def train_samples(self, epoch: int) -> Samples:
        return self._samples[0]

    def val_samples(self) -> Samples:
        return self._samples[1]
