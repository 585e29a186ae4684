"""What a comparison costs beside the forward passes, and beside torch-cka and cka-pytorch; run by hand.

    python benchmarks/compare.py

ResNet-18 against ResNet-34 (random weights), debiased linear CKA of flattened outputs in minibatches, images of
64 × 64: all pairs of activations beside the forward passes, and all pairs of modules beside the two libraries
(pip install '.[libraries]' in a checkout), which take fewer images. Times are those of the process's threads together,
which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tsl.compare import compare

BATCH = 100


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def forward(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The forward passes alone."""
    with torch.inference_mode():
        for batch in inputs.split(BATCH):
            for network in networks:
                network(batch)


def torch_cka(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The library torch-cka."""
    from torch_cka import CKA

    loader = DataLoader(TensorDataset(inputs, inputs), batch_size=BATCH)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        cka = CKA(*networks, "a", "b")
        cka.compare(loader)


def cka_pytorch(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The library cka-pytorch."""
    from cka_pytorch import CKACalculator

    loader = DataLoader(TensorDataset(inputs, inputs), batch_size=BATCH)
    calculator = CKACalculator(*networks, verbose=False)
    calculator.calculate_cka_matrix(loader, num_epochs=1)


def main() -> None:
    """Measure, and print seconds for all images and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--images-of-libraries", type=int, default=100)
    asked = parser.parse_args()
    torch.manual_seed(0)

    def make() -> tuple[nn.Module, nn.Module]:
        return torchvision.models.resnet18(weights=None).eval(), torchvision.models.resnet34(weights=None).eval()

    inputs, few = torch.randn(asked.images, 3, 64, 64), torch.randn(asked.images_of_libraries, 3, 64, 64)
    networks = make()
    forward(networks, few)  # warms up
    passes = seconds(lambda: forward(networks, inputs))
    ours = seconds(lambda: compare(*networks, iter(inputs.split(BATCH)), measures=["minibatch_cka"]))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(
        f"activations, {asked.images} images: {ours:.1f} s, {ours / passes:.2f} × the forward passes (goal: 1.6)",
        flush=True,
    )
    bound = seconds(lambda: forward(networks, few))
    everything = seconds(lambda: compare(*networks, iter([few]), layers=["*"], measures=["minibatch_cka"]))
    count = asked.images_of_libraries
    print(f"all modules, {count} images: {everything:.1f} s, forward passes {bound:.1f} s", flush=True)
    for name, library in (("cka-pytorch", cka_pytorch), ("torch-cka", torch_cka)):
        made = make()
        theirs = seconds(lambda library=library, made=made: library(made, few))  # type: ignore[misc]
        print(
            f"{name}: {theirs:.1f} s, {theirs / everything:.1f} × as long (goal: 5), {theirs / bound:.1f} × the "
            "forward passes, the most that anyone could reach",
            flush=True,
        )


if __name__ == "__main__":
    main()
